"""The audit log: a file of JSON lines, private to its owner, that is rotated by size."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import structlog

MAX_WAITING = 10_000  # lines
RETRY_DELAY = 1.0  # seconds
STOP_TIMEOUT = 5.0  # seconds
GATHER = 0.02  # seconds in which entries come together to be written at once

log = structlog.get_logger(__name__)
_encode = json.JSONEncoder(separators=(",", ":")).encode


class AuditLog:
    """Takes entries at once and writes them in the background. An async context manager.

    Entries wait while the file can't be written; beyond `MAX_WAITING` they are lost. Both are
    errors in the service's own log, and a line in the file tells how many are missing there.
    """

    def __init__(self, path: Path, *, max_bytes: int, old_files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._old_files = old_files
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._came = asyncio.Event()
        self._stops = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._writing = asyncio.create_task(self._write_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stops.set()
        self._came.set()
        if self._writing is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._writing, STOP_TIMEOUT)
        if self._waiting or self._lost:
            log.error("audit lines lost", lines=len(self._waiting) + self._lost)

    def write(self, entry: Mapping[str, object]) -> None:
        """Takes an entry; never waits and never fails."""
        if len(self._waiting) >= MAX_WAITING:
            if not self._lost:
                log.error("audit lines are being lost", waiting=len(self._waiting))
            self._lost += 1
            return
        self._waiting.append(_line(entry))
        self._came.set()

    async def _write_all(self) -> None:
        while self._waiting or not self._stops.is_set():
            await self._came.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stops.wait(), GATHER)
            self._came.clear()
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        failures = 0
        while self._waiting:
            lines, lost = list(self._waiting), self._lost
            gap = [_line({"action": "AuditLinesLost", "lines": lost})] if lost else []
            try:
                await asyncio.to_thread(self._append, [*lines, *gap])
            except OSError as error:
                failures += 1
                log.error("audit log not written", failures=failures, error=str(error))
                await asyncio.sleep(RETRY_DELAY)
                continue
            for _ in lines:
                self._waiting.popleft()
            self._lost -= lost
            return

    def _append(self, lines: Sequence[bytes]) -> None:
        """Appends whole lines, or none."""
        data = b"".join(lines)
        self._make_room(len(data))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            end = os.fstat(descriptor).st_size
            try:
                _write(descriptor, data)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)

    def _make_room(self, size: int) -> None:
        """Moves each file one place on when the present one is full; the last one goes."""
        there = self._path.exists() and self._path.stat().st_size
        if not there or there + size <= self._max_bytes:
            return
        places = [self._path, *(self._old(number) for number in range(1, self._old_files + 1))]
        places[-1].unlink(missing_ok=True)
        for source, target in reversed(list(itertools.pairwise(places))):
            with contextlib.suppress(FileNotFoundError):
                source.replace(target)

    def _old(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _line(entry: Mapping[str, object]) -> bytes:
    return _encode(entry).encode() + b"\n"


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
