"""The pipe that all processes of a session print into, and how a run reads it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Awaitable, Callable

from entrance_runner.lines import LineAssembler

PIPE_BYTES = 1024 * 1024  # what an unprivileged process may ask for
READ_BYTES = 256 * 1024
TAIL_BYTES = 2048
GATHER = 0.005  # seconds; a line after a silence is passed on at once

LogSink = Callable[[bytes], Awaitable[None]]


class OutputPipe:
    """A pipe from a session's processes. Nobody reads it between runs, so that printers then wait.

    The runner keeps the writing end open too: that a job closes its own means nothing.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._capacity = _widen(self._reader)
        self._ended = False
        self._wake = asyncio.Event()

    def close(self) -> None:
        """Closes both ends."""
        os.close(self._reader)
        os.close(self.writer)

    def discard(self) -> bytes:
        """Empties the pipe of what was printed since the last run, and gives the end of that."""
        last = b""
        for _ in range(0, 2 * self._capacity, READ_BYTES):
            if not (data := self._read()):
                break
            last = (last + data)[-TAIL_BYTES:]
        return last

    def end(self) -> None:
        """Tells the pump that the code has ended: what is in the pipe now is the last of it."""
        self._ended = True
        self._wake.set()

    async def pump(self, sink: LogSink) -> None:
        """Hands whole lines to `sink` until `end` was called and the pipe is empty.

        While the sink does not take more, nothing is read, and so the job waits in its next print.
        """
        lines = LineAssembler()
        self._ended = False
        while not self._ended:
            if data := self._read():
                await sink(lines.feed(data))
                # others have their turn, and after a short read more can gather for the next
                await (asyncio.sleep(0) if len(data) == READ_BYTES else self._more_to_read())
            else:
                await self._something_to_read()
        drained = 0
        while drained <= self._capacity and (data := self._read()):
            drained += len(data)
            await sink(lines.feed(data))
        await sink(lines.finish())

    def _read(self) -> bytes:
        try:
            return os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            return b""

    async def _more_to_read(self) -> None:
        """Waits a moment, but not beyond the end of the code."""
        self._wake.clear()
        if not self._ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER):
                    await self._wake.wait()

    async def _something_to_read(self) -> None:
        self._wake.clear()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._reader, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            loop.remove_reader(self._reader)


def _widen(pipe: int) -> int:
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is None:
        return PIPE_BYTES
    with contextlib.suppress(OSError):  # the user's quota of pipe memory may be used up
        fcntl.fcntl(pipe, set_size, PIPE_BYTES)
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
