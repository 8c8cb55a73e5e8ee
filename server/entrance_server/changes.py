"""A revision number that tasks can wait for."""

from __future__ import annotations

import asyncio


class Changes:
    """Counts changes and wakes whoever waits for one; a slow waiter sees several as one."""

    def __init__(self) -> None:
        self.revision = 0
        self._next: asyncio.Future[None] | None = None

    def bump(self) -> None:
        """Records a change and wakes all waiters."""
        self.revision += 1
        if self._next is not None:
            if not self._next.done():
                self._next.set_result(None)
            self._next = None

    async def beyond(self, revision: int) -> int:
        """Waits until there is a newer revision than this one, and tells it."""
        while self.revision <= revision:
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            # shielded, since one waiter's cancellation must not end the others' wait
            await asyncio.shield(self._next)
        return self.revision
