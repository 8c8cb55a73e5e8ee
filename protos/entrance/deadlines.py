"""Time limits that share one timer, for what is limited so often that a timer each would cost."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Self

INTERVAL: Final = 0.1  # seconds by which a limit may be late


class Deadlines:
    """Makes time limits such as `asyncio.timeout` makes, but for their exactness."""

    def __init__(self) -> None:
        self._open: dict[Limit, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def within(self, seconds: float | None) -> Limit:
        """A context that is cut off with TimeoutError after so many seconds; None means never."""
        return Limit(self, seconds)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of all limits: the one that runs when the first one is entered."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def add(self, limit: Limit, seconds: float) -> None:
        """Makes a limit expire; called when its block is entered."""
        loop = self.loop
        self._open[limit] = loop.time() + seconds
        if self._timer is None:
            self._timer = loop.call_later(INTERVAL, self._end_late, loop)

    def remove(self, limit: Limit) -> None:
        """Forgets a limit; called when its block is left."""
        self._open.pop(limit, None)

    def _end_late(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for limit in [limit for limit, end in self._open.items() if end <= now]:
            del self._open[limit]
            limit.expire()
        self._timer = loop.call_later(INTERVAL, self._end_late, loop) if self._open else None


class Limit:
    """A time limit of the task that enters it, as a context manager."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_seconds", "_task")

    _task: asyncio.Task[Any]
    _cancelling: int

    def __init__(self, deadlines: Deadlines, seconds: float | None) -> None:
        self._deadlines = deadlines
        self._seconds = seconds
        self._expired = False

    def expired(self) -> bool:
        """Whether the time is over, and the block was cut off for that."""
        return self._expired

    def expire(self) -> None:
        """Cuts the block off; called when the time is over."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        if self._seconds is not None:
            task = asyncio.current_task(self._deadlines.loop)
            if task is None:
                raise RuntimeError("a time limit needs a task that it can cut off")
            self._task, self._cancelling = task, task.cancelling()
            self._deadlines.add(self, self._seconds)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadlines.remove(self)
        # a task that somebody else cancelled too goes on being cancelled
        is_cut_off = self._expired and self._task.uncancel() <= self._cancelling
        if is_cut_off and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error
