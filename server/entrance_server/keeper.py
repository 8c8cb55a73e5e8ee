"""Work that goes on for as long as its owner's context lasts."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from typing import Self

import structlog

log = structlog.get_logger(__name__)


class Keeper(abc.ABC):
    """Works from entry to exit. An async context manager, which owns the task."""

    _working: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._working = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._working is None:
            return
        self._working.cancel()
        await asyncio.wait([self._working])
        if not self._working.cancelled() and (error := self._working.exception()):
            log.error("work in the background failed", work=type(self).__name__, exc_info=error)

    @abc.abstractmethod
    async def _work(self) -> None:
        """What is done; cancelled at the exit."""


class Watch(Keeper):
    """Looks again and again, and at once when it is told to."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()

    def look(self) -> None:
        """Looks at once."""
        self._wanted.set()

    async def _rest(self, seconds: float) -> None:
        """Waits for so long, or until a look is wanted."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        self._wanted.clear()
