"""Time limits that share one timer, for what is limited so often that a timer each would cost."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

INTERVAL: Final = 0.1  # seconds by which a limit may be late


class Deadlines:
    """Makes time limits such as `asyncio.timeout` makes, but for their exactness."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Timeout, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float | None) -> Limit:
        """A context that is cut off with TimeoutError after so many seconds; None means never."""
        return Limit(self, seconds)

    def add(self, limit: asyncio.Timeout, seconds: float) -> None:
        """Makes a limit expire; called when its block is entered."""
        loop = asyncio.get_running_loop()
        self._open[limit] = loop.time() + seconds
        if self._timer is None:
            self._timer = loop.call_later(INTERVAL, self._end_late, loop)

    def remove(self, limit: asyncio.Timeout) -> None:
        """Forgets a limit; called when its block is left."""
        self._open.pop(limit, None)

    def _end_late(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for limit in [limit for limit, end in self._open.items() if end <= now]:
            del self._open[limit]
            limit.reschedule(now)
        self._timer = loop.call_later(INTERVAL, self._end_late, loop) if self._open else None


class Limit:
    """A time limit, as an async context manager."""

    __slots__ = ("_deadlines", "_limit", "_seconds")

    def __init__(self, deadlines: Deadlines, seconds: float | None) -> None:
        self._deadlines = deadlines
        self._seconds = seconds
        self._limit = asyncio.Timeout(None)

    def expired(self) -> bool:
        """Whether the time is over, and the block was cut off for that."""
        return self._limit.expired()

    async def __aenter__(self) -> Limit:
        await self._limit.__aenter__()
        if self._seconds is not None:
            self._deadlines.add(self._limit, self._seconds)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadlines.remove(self._limit)
        await self._limit.__aexit__(kind, error, traceback)
