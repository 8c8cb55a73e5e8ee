"""Wakes those who wait for lines of a log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from entrance_server.logs.files import LogSlice
from entrance_server.logs.tail import Tail


@dataclass(slots=True)
class _Watched:
    """A log that somebody follows: its tail, how often all were called, the event of a wake."""

    followers: int = 0
    calls: int = 0
    tail: Tail = field(default_factory=Tail)
    next_wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.next_wake.set()
        self.next_wake = asyncio.Event()


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
    """All who follow logs."""

    def __init__(self, next_line: Callable[[int], Awaitable[int]]) -> None:
        self._next_line = next_line
        self._watched: dict[int, _Watched] = {}

    @contextmanager
    def follow(self, task_id: int) -> Iterator[Follower]:
        """Gives a follower of a log."""
        watched = self._watched.setdefault(task_id, _Watched())
        watched.followers += 1
        try:
            yield Follower(watched, lambda: self._next_line(task_id))
        finally:
            watched.followers -= 1
            if not watched.followers:
                del self._watched[task_id]

    def lines_came(self, task_id: int, appended: LogSlice | None) -> None:
        """Wakes those whose line may have come; None where it is not known what came."""
        if (watched := self._watched.get(task_id)) is not None:
            if appended is None:
                watched.tail.clear()
            else:
                watched.tail.add(appended)
            watched.wake()

    def forget(self, task_id: int) -> None:
        """Forgets the lines of a log that is removed."""
        if task_id in self._watched:
            self._watched[task_id].tail.clear()

    def call(self, task_id: int) -> None:
        """Wakes everybody who follows a log."""
        if task_id in self._watched:
            self._watched[task_id].calls += 1
            self._watched[task_id].wake()
