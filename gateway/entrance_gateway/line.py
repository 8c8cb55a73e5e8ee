"""Lines to servers: each a channel with a tunnel in it, which stays open until it is unused."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Self

import grpc

from entrance_gateway.tunnel import Tunnel

READY_INTERVAL = 0.1  # seconds between looks for a line that is ready


class Line:
    """A channel, and a tunnel in it where there is one. `opened` makes it, `retire` ends it.

    Entered as a context it stays open to the end of the block.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.tunnel: Tunnel | None = None
        self._stack = AsyncExitStack()
        self._uses = 0
        self._retired = False
        self._closed = False

    @classmethod
    async def opened(cls, channel: grpc.aio.Channel, *, tunnel: Tunnel | None, owned: bool) -> Self:
        """A line over a channel, which it closes in the end when it is `owned`, and a tunnel."""
        line = cls(channel)
        if owned:
            line._stack.push_async_callback(channel.close)
        if tunnel is not None:
            line.tunnel = await line._stack.enter_async_context(tunnel)
        return line

    @property
    def is_ready(self) -> bool:
        """Whether it is connected to a server that serves; one that is not is let try."""
        if self._closed:
            return False
        return self.channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY

    async def __aenter__(self) -> Self:
        self._uses += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._uses -= 1
        await self._close_if_unused()

    async def retire(self) -> None:
        """Closes the line as soon as nobody uses it; called by whoever has the next one."""
        self._retired = True
        await self._close_if_unused()

    async def close(self) -> None:
        """Closes the line, whoever uses it."""
        self._closed = True
        await self._stack.aclose()

    async def _close_if_unused(self) -> None:
        if self._retired and not self._uses:
            await self.close()


class Lines:
    """The lines to all servers that the gateway knows, used in turn. There is one at least."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = deque(lines)

    def replace(self, lines: Iterable[Line]) -> Sequence[Line]:
        """Takes others in their place, for those too who wait for one; gives what was there."""
        before, self._lines = tuple(self._lines), deque(lines)
        return before

    def next(self) -> Line:
        """The line whose turn it is, among those that are ready if there are any."""
        if len(self._lines) > 1:
            for _ in range(len(self._lines)):
                self._lines.rotate()
                if self._lines[0].is_ready:
                    return self._lines[0]
            self._lines.rotate()
        return self._lines[0]

    async def next_ready(self) -> Line:
        """The same; where there are several and none is ready, it waits for one that is."""
        return self.next() if len(self._lines) == 1 else await self.any_ready()

    async def any_ready(self) -> Line:
        """Waits for a line that is ready; the one whose turn it is."""
        while not any(line.is_ready for line in self._lines):  # noqa: ASYNC110 - a channel tells of its states one by one
            await asyncio.sleep(READY_INTERVAL)
        return self.next()

    def others(self, line: Line) -> Iterator[Line]:
        """Further lines to try where a server did not answer: those that are ready now."""
        return (one for one in tuple(self._lines) if one is not line and one.is_ready)

    def __iter__(self) -> Iterator[Line]:
        return iter(tuple(self._lines))
