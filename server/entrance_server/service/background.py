"""Work that a caller's cancellation must not cut in half."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)
Result = TypeVar("Result")


FINISHED_WITHIN = 30.0  # seconds; more than a kill takes


class Background:
    """Owns tasks that outlive their calls. An async context manager: leaving it waits for them.

    What is not done `within` some seconds then is cut off, as by a crash: a store may be away for
    good. Nobody was told that it was done.
    """

    def __init__(self, *, within: float = FINISHED_WITHIN) -> None:
        self._within = within
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Background:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if not self._tasks:
            return
        _, left = await asyncio.wait(self._tasks, timeout=self._within)
        for task in left:
            task.cancel()
        if left:
            log.warning("work cut off", tasks=len(left), seconds=self._within)
            await asyncio.wait(left)

    async def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs work to its end, even when the caller goes away, and gives its result."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._collect)
        return await asyncio.shield(task)

    def _collect(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # an error went to the caller, or to nobody when he has gone
