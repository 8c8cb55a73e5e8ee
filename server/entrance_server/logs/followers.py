"""Wakes those who wait for lines of a log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from entrance_server.logs.files import LogSlice
from entrance_server.logs.tail import Tail

PACE: Final = 0.0003  # seconds between two wakes for each follower: six times what a message costs
MAX_UNTOLD: Final = 64 * 1024  # bytes that wait for a wake at most


class _Watched:
    """A log that somebody follows: its tail, how often all were called, the event of a wake.

    Followers are told of lines at a pace that leaves most of the server's core to others, however
    many they are: what comes in between is told with the next wake.
    """

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self.followers = 0
        self.calls = 0
        self.tail = Tail()
        self.next_wake = asyncio.Event()
        self._untold = list[LogSlice]()
        self._rest = 0.0  # the loop's time before which there is no further wake
        self._timer: asyncio.TimerHandle | None = None

    def add(self, appended: LogSlice) -> None:
        """Tells of an append, now or with the next wake."""
        self._untold.append(appended)
        loop = asyncio.get_running_loop()
        if loop.time() >= self._rest or sum(len(one.text) for one in self._untold) > MAX_UNTOLD:
            self.wake()
        elif self._timer is None:
            self._timer = loop.call_at(self._rest, self.wake)

    def wake(self) -> None:
        """Wakes all, now."""
        self.rest()
        for appended in self._untold:
            self.tail.add(appended)
        self._untold.clear()
        self._rest = asyncio.get_running_loop().time() + self.followers * self._pace
        self.next_wake.set()
        self.next_wake = asyncio.Event()

    def forget(self) -> None:
        """Forgets all lines."""
        self._untold.clear()
        self.tail.clear()

    def rest(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Follower:
    """Waits for lines of one log. It holds no line, so that a slow one costs nothing."""

    def __init__(self, watched: _Watched, next_line: Callable[[], Awaitable[int]]) -> None:
        self._watched = watched
        self._next_line = next_line
        self._calls = watched.calls

    def appended(self, line: int) -> LogSlice | None:
        """What was appended from a line on, perhaps nothing; None where it must be read."""
        return self._watched.tail.since(line)

    async def wait(self, line: int) -> None:
        """Returns when the log has a line, or when all were called since the last return."""
        watched = self._watched
        while True:
            next_wake = watched.next_wake  # taken before the look, so that no wake is missed
            if watched.calls != self._calls or await self._end() > line:
                break
            await next_wake.wait()
        self._calls = watched.calls

    async def _end(self) -> int:
        # what is written and not told yet is not in the tail, and will wake all when it is
        told = self._watched.tail.next_line
        return await self._next_line() if told is None else told


class Followers:
    """All who follow logs.

    Args:
        next_line: The number that a log's next line will have.
        pace: Seconds between two wakes for each follower of a log.
    """

    def __init__(self, next_line: Callable[[int], Awaitable[int]], *, pace: float = PACE) -> None:
        self._next_line = next_line
        self._pace = pace
        self._watched: dict[int, _Watched] = {}

    @contextmanager
    def follow(self, task_id: int) -> Iterator[Follower]:
        """Gives a follower of a log."""
        watched = self._watched.setdefault(task_id, _Watched(self._pace))
        watched.followers += 1
        try:
            yield Follower(watched, lambda: self._next_line(task_id))
        finally:
            watched.followers -= 1
            if not watched.followers:
                watched.rest()
                del self._watched[task_id]

    def lines_came(self, task_id: int, appended: LogSlice | None) -> None:
        """Wakes those whose line may have come; None where it is not known what came."""
        if (watched := self._watched.get(task_id)) is not None:
            if appended is None:
                watched.forget()
                watched.wake()
            else:
                watched.add(appended)

    def forget(self, task_id: int) -> None:
        """Forgets the lines of a log that is removed."""
        if task_id in self._watched:
            self._watched[task_id].forget()

    def call(self, task_id: int) -> None:
        """Wakes everybody who follows a log."""
        if task_id in self._watched:
            self._watched[task_id].calls += 1
            self._watched[task_id].wake()
