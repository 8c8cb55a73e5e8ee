"""A TCP proxy between clients and a program, whose connections can be cut or held up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random

HOST = "127.0.0.1"
PIECE = 64 * 1024  # bytes


class Proxy:
    """Passes bytes on to a port, which may come and go."""

    def __init__(self) -> None:
        self.port = 0
        self.upstream = 0
        self._connections: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens within the context."""
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self._flowing.set()
            for writer in list(self._connections):
                writer.transport.abort()

    def cut(self, random: Random, share: float) -> int:
        """Breaks some of the connections, wherever they are; how many."""
        doomed = [writer for writer in self._connections if random.random() < share]
        for writer in doomed:
            writer.transport.abort()
        return len(doomed)

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """Lets nothing pass within the context."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(HOST, self.upstream)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, up_writer}
        self._connections |= pair
        try:
            passing = {
                asyncio.create_task(self._pass_on(reader, up_writer)),
                asyncio.create_task(self._pass_on(up_reader, writer)),
            }
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            for task in passing:
                task.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
        finally:
            self._connections -= pair
            for each in pair:
                each.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
