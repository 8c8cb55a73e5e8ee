"""Keeps the last of the disk for the jobs that there are, by refusing new ones."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

import structlog

from entrance_server.domain.errors import Exhausted
from entrance_server.domain.sizes import spoken
from entrance_server.keeper import Keeper

LOOK_INTERVAL = 1.0  # seconds

log = structlog.get_logger(__name__)


def free_bytes(directory: Path) -> int:
    """The space that is left to this user where a directory is. Blocks."""
    return shutil.disk_usage(directory).free


class DiskGuard(Keeper):
    """Looks at the disk of a directory again and again. An async context manager.

    A disk that does not tell its space refuses nobody: what needs it fails or waits by itself.
    """

    def __init__(
        self, directory: Path, *, min_free: int, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._directory = directory
        self._min_free = min_free
        self._free = free
        self._left = min_free

    async def __aenter__(self) -> Self:
        await self.look()
        return await super().__aenter__()

    @property
    def is_low(self) -> bool:
        """Whether less is left than is kept for the jobs that there are."""
        return self._left < self._min_free

    @property
    def is_short(self) -> bool:
        """Whether it is about to be low, so that it is time to make room."""
        return self._left < 2 * self._min_free

    def check(self) -> None:
        """Lets a new job in.

        Raises:
            Exhausted: there is too little space.
        """
        if self.is_low:
            raise Exhausted(
                f"The service has {spoken(self._left)} of disk left, and keeps "
                f"{spoken(self._min_free)} for the jobs that it has. Submit again later; an "
                "administrator can free space or keep old results for a shorter time.",
                reason="DISK_ALMOST_FULL",
            )

    async def look(self) -> None:
        """Measures the space."""
        was_low = self.is_low
        try:
            self._left = await asyncio.to_thread(self._free, self._directory)
        except OSError as error:
            log.warning("free space not known", directory=str(self._directory), error=str(error))
            self._left = self._min_free
        if self.is_low and not was_low:
            log.error("disk almost full, no new jobs", left=self._left, kept=self._min_free)
        elif was_low and not self.is_low:
            log.info("disk has space again", left=self._left)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            await self.look()
