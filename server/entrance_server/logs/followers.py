"""Wakes those who wait for lines of a log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Watched:
    """A log that somebody follows: how often all were called, and the event of the next wake."""

    followers: int = 0
    calls: int = 0
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

    async def wait(self, line: int) -> None:
        """Returns when the log has a line, or when all were called since the last return."""
        watched = self._watched
        while True:
            next_wake = watched.next_wake  # taken before the look, so that no wake is missed
            if watched.calls != self._calls or await self._next_line() > line:
                break
            await next_wake.wait()
        self._calls = watched.calls


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

    def lines_came(self, task_id: int) -> None:
        """Wakes those whose line may have come."""
        if task_id in self._watched:
            self._watched[task_id].wake()

    def call(self, task_id: int) -> None:
        """Wakes everybody who follows a log."""
        if task_id in self._watched:
            self._watched[task_id].calls += 1
            self._watched[task_id].wake()
