"""Work that a caller's cancellation must not cut in half."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Background:
    """Owns tasks that outlive their calls. An async context manager: leaving it waits for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Background:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)

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
