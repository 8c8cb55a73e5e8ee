"""Copies on this disk of files that are elsewhere, as many as a bound lets."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Self
from weakref import WeakValueDictionary

Load = Callable[[str, Path], Awaitable[None]]  # of a file by its name, to a path


class CacheFull(Exception):
    """The disk has not the room for a file."""


class Cache:
    """Copies of files, of which the least lately used go when there is need of room.

    Together they have `max_bytes` at most, but that a single file may have more, as long as the
    disk keeps `min_free`. Whoever has a copy open goes on reading it when it goes. An async context
    manager: entering it empties its directory, which it alone uses.
    """

    def __init__(
        self, directory: Path, *, max_bytes: int, min_free: int = 0, loads_at_once: int = 4
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._min_free = min_free
        self._sizes: OrderedDict[str, int] = OrderedDict()  # least lately used first
        self._coming: dict[str, int] = {}  # sizes of those that are being made
        # a lock is there as long as somebody holds it or waits for it
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._turns = asyncio.Semaphore(loads_at_once)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(_make_empty, self._directory)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    @property
    def size(self) -> int:
        """The bytes of all copies, those on their way too."""
        return sum(self._sizes.values())

    def path(self, name: str) -> Path:
        """Where the copy of a file is."""
        return self._directory / name

    def has(self, names: Collection[str]) -> bool:
        """Whether there are copies of all of some files, which are used now."""
        there = all(name in self._sizes and name not in self._locks for name in names)
        if there:
            for name in names:
                self._sizes.move_to_end(name)
        return there

    async def get(self, sizes: Mapping[str, int], load: Load) -> None:
        """Lets there be copies of some files at once; `load` makes each that is missing.

        What several callers want is made once.

        Raises:
            CacheFull: there is no room for them.
            OSError: they can't be written.
        """
        async with contextlib.AsyncExitStack() as held:
            for name in sorted(sizes):
                lock = self._locks.setdefault(name, asyncio.Lock())
                await held.enter_async_context(lock)
            for name, size in sizes.items():
                if name not in self._sizes:
                    async with self._turns:
                        await self._load(name, size, load)
                self._sizes.move_to_end(name)

    async def drop(self, folder: str) -> None:
        """Removes the copies of all files below a name."""
        for name in [one for one in self._sizes if one.startswith(f"{folder}/")]:
            if name in self._sizes and name not in self._locks:  # one may have made room meanwhile
                await self._evict(name)

    async def _load(self, name: str, size: int, load: Load) -> None:
        path = self.path(name)
        partial = path.with_name(f".{path.name}.part")
        self._sizes[name] = self._coming[name] = size
        try:
            await self._make_room()
            await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
            await load(name, partial)
            await asyncio.to_thread(partial.rename, path)
        except BaseException:
            del self._sizes[name]
            await asyncio.to_thread(partial.unlink, missing_ok=True)
            raise
        finally:
            del self._coming[name]

    async def _make_room(self) -> None:
        """Makes room for the newest copy, and leaves those that came before it theirs."""
        coming = sum(self._coming.values())
        while self.size > self._max_bytes:
            idle = (name for name in self._sizes if name not in self._locks)
            if (name := next(idle, None)) is None:
                break
            await self._evict(name)
        free = (await asyncio.to_thread(shutil.disk_usage, self._directory)).free
        if free - coming < self._min_free:
            raise CacheFull(f"{coming} bytes are to be kept on a disk with {free} left")

    async def _evict(self, name: str) -> None:
        """Removes a copy that nobody holds, and that nobody makes anew before it is gone."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            del self._sizes[name]
            await asyncio.to_thread(self.path(name).unlink, missing_ok=True)


def _make_empty(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)
    directory.mkdir(mode=0o700, parents=True)
