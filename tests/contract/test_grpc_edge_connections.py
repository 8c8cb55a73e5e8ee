"""How many connections a server has, and what becomes of those that nobody uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest

from entrance.v1 import entrance_pb2 as pb
from entrance_server.rpc.server import Limits
from tests.contract.grpc_edge import AS_ALICE, PATIENCE, Services, edge_server, stub


@asynccontextmanager
async def server(limits: Limits) -> AsyncIterator[str]:
    """The target of a server."""
    it = edge_server(Services(), limits=limits)
    port = it.add_insecure_port("127.0.0.1:0")
    await it.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await it.stop(grace=0)


def channel(target: str) -> grpc.aio.Channel:
    """A channel with a connection of its own."""
    return grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])


async def ask(channel: grpc.aio.Channel, *, wait: bool = False) -> None:
    await stub(channel).Status(
        pb.StatusRequest(), metadata=AS_ALICE, timeout=PATIENCE, wait_for_ready=wait
    )


async def test_a_connection_too_many_is_closed_and_the_others_are_good() -> None:
    async with server(Limits(connections=2)) as target, AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(channel(target)) for _ in range(2)]
        await ask(first)
        await ask(second)
        async with channel(target) as third:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await ask(third)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            await ask(first)
            await second.close()
            await ask(third, wait=True)


@pytest.mark.parametrize("sent", [b"", b"PRI * HTTP/2.0\r\n\r\n", b"GET / HTTP/1.1\r\n"])
async def test_a_connection_that_does_not_speak_grpc_is_closed_soon(sent: bytes) -> None:
    async with server(Limits(handshake_deadline=0.2)) as target:
        host, _, port = target.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        async with asyncio.timeout(PATIENCE):
            await _to_the_end(reader)
        writer.close()


async def test_a_connection_without_calls_is_closed_and_made_again() -> None:
    async with server(Limits(connection_idle=0.2)) as target, channel(target) as idle:
        await ask(idle)
        async with asyncio.timeout(PATIENCE):
            while (state := idle.get_state()) is not grpc.ChannelConnectivity.IDLE:
                await idle.wait_for_state_change(state)
        await ask(idle)


async def _to_the_end(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(2**16):
            pass
    except ConnectionError:
        pass
