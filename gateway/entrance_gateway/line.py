"""A channel to the server with a tunnel in it, which outlives its successor until it is unused."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Self

import grpc

from entrance_gateway.tunnel import Tunnel


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

    @classmethod
    async def opened(cls, channel: grpc.aio.Channel, *, tunnel: bool, owned: bool) -> Self:
        """A line over a channel, which it closes in the end when it is `owned`."""
        line = cls(channel)
        if owned:
            line._stack.push_async_callback(channel.close)
        if tunnel:
            line.tunnel = await line._stack.enter_async_context(Tunnel(channel))
        return line

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
        await self._stack.aclose()

    async def _close_if_unused(self) -> None:
        if self._retired and not self._uses:
            await self.close()
