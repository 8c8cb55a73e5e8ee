"""How streams live and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from entrance.v1 import entrance_pb2 as pb
from entrance_server.logs.levels import LogChunk, LogLevel
from entrance_server.rpc.server import Limits
from entrance_server.service.views import LogBatch
from tests.contract.grpc_edge import (
    AS_ALICE,
    AS_ROOT,
    METHODS,
    PATIENCE,
    TABLE,
    Services,
    connected,
    edge_server,
    open_call,
    serving,
    stub,
)

STREAMS = [method for method in METHODS if method.server_streaming]
every_stream = pytest.mark.parametrize("method", STREAMS, ids=lambda method: method.name)


def endless() -> Services:
    """Services whose streams send one item and then wait for ever."""
    line = LogChunk(1, 1, LogLevel.INFO, b"a\n")
    return Services(gate=asyncio.Event(), batches=[LogBatch([line], 2)], pieces=[(TABLE, b"data")])


def open_stream(
    channel: grpc.aio.Channel, method: MethodDescriptor, *, timeout: float | None = None
) -> grpc.aio.UnaryStreamCall[Any, Any]:
    request = GetMessageClass(method.input_type)()
    call: grpc.aio.UnaryStreamCall[Any, Any] = open_call(channel, method, request, timeout=timeout)
    return call


@every_stream
async def test_a_cancelled_stream_frees_what_it_held(method: MethodDescriptor) -> None:
    services = endless()
    async with serving(services) as channel:
        stream = open_stream(channel, method)
        await stream.read()
        await services.started.wait()
        assert not services.released.is_set()
        stream.cancel()
        await services.released.wait()


async def test_a_stream_whose_client_is_gone_frees_what_it_held() -> None:
    services = endless()
    async with serving(services) as channel:
        await open_stream(channel, STREAMS[0]).read()
        await channel.close()
        await services.released.wait()


async def test_a_stream_frees_what_it_held_when_its_deadline_passes() -> None:
    services = endless()
    async with serving(services) as channel:
        stream = open_stream(channel, STREAMS[0], timeout=0.1)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for _ in stream:
                pass
        await services.released.wait()
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_stream_is_cancelled_while_its_reader_does_not_read() -> None:
    big = LogChunk(1, 1, LogLevel.INFO, b"x" * 60_000 + b"\n")
    services = Services(batches=[LogBatch([big], 2)] * 10_000)
    async with serving(services) as channel:
        stream = open_stream(channel, STREAMS[0])
        await stream.read()
        await services.started.wait()
        assert not services.released.is_set()
        stream.cancel()
        await services.released.wait()


async def test_a_server_that_stops_ends_its_streams_and_frees_what_they_held() -> None:
    services = endless()
    server = edge_server(services)
    async with connected(server) as channel:
        stream = open_stream(channel, STREAMS[0])
        await stream.read()
        await server.stop(grace=0)
        assert await stream.code() is not grpc.StatusCode.OK
        await services.released.wait()


async def test_a_server_takes_no_more_calls_at_once_than_its_limit() -> None:
    services = endless()
    assert services.gate is not None
    async with serving(services, limits=Limits(concurrent_calls=1)) as channel:
        stream = open_stream(channel, STREAMS[0])
        await stream.read()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE)
        services.gate.set()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("name", ["Status", "StreamLog"])
async def test_a_call_whose_request_does_not_come_is_ended_and_its_place_is_free(name: str) -> None:
    services = Services()
    path = f"/entrance.v1.EntranceService/{name}"
    async with serving(
        services, limits=Limits(concurrent_calls=1, request_deadline=0.2)
    ) as channel:
        rpc: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(path)
        silent = rpc(_nothing())
        async with asyncio.timeout(PATIENCE):
            assert await silent.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "within 0.2 s" in await silent.details()
        await stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE)
    assert len(services.asked) == 1


@pytest.mark.parametrize("name", ["Status", "StreamLog"])
async def test_a_call_that_ends_without_a_request_is_refused(name: str) -> None:
    async with serving(Services()) as channel:
        path = f"/entrance.v1.EntranceService/{name}"
        rpc: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(path)
        empty = rpc()
        await empty.done_writing()
        async with asyncio.timeout(PATIENCE):
            assert await empty.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_outlives_the_default_deadline_of_calls() -> None:
    services = endless()
    assert services.gate is not None
    async with serving(services, limits=Limits(default_deadline=0.01)) as channel:
        stream = open_stream(channel, STREAMS[0])
        await stream.read()
        with pytest.raises(grpc.aio.AioRpcError):  # by then the deadline would have passed
            await stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE)
        services.gate.set()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK


async def test_a_user_with_too_many_streams_is_told_the_limit() -> None:
    services = endless()
    async with serving(services, limits=Limits(streams_per_user=2)) as channel:
        streams = [open_stream(channel, method) for method in STREAMS[:2]]
        for stream in streams:
            await stream.read()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await open_stream(channel, STREAMS[2]).read()
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "2 streams" in (raised.value.details() or "")


async def test_the_streams_of_one_user_do_not_count_for_another() -> None:
    services = endless()
    async with serving(services, limits=Limits(streams_per_user=1)) as channel:
        await open_stream(channel, STREAMS[0]).read()
        other = stub(channel).WatchJob(pb.WatchJobRequest(), metadata=AS_ROOT)
        assert isinstance(await other.read(), pb.WatchJobResponse)


async def test_a_stream_that_ended_makes_room_for_another() -> None:
    services = endless()
    async with serving(services, limits=Limits(streams_per_user=1)) as channel:
        for method in STREAMS:
            services.released.clear()
            stream = open_stream(channel, method)
            await stream.read()
            stream.cancel()
            await services.released.wait()


async def test_unary_calls_do_not_count_as_streams() -> None:
    services = endless()
    async with serving(services, limits=Limits(streams_per_user=1)) as channel:
        await open_stream(channel, STREAMS[0]).read()
        await stub(channel).ListEngines(pb.ListEnginesRequest(), metadata=AS_ALICE)


async def test_a_large_log_batch_comes_in_several_messages() -> None:
    chunk = LogChunk(1, 1_000, LogLevel.INFO, (b"x" * 999 + b"\n") * 1_000)
    async with serving(Services(batches=[LogBatch([chunk], 1_001)])) as channel:
        answers = [answer async for answer in open_stream(channel, STREAMS[0])]
    assert max(answer.ByteSize() for answer in answers) <= 256 * 1024
    assert "".join(c.text for a in answers for c in a.chunks).encode() == chunk.text
    assert answers[-1].next_line == 1_001


async def test_a_large_piece_of_a_result_comes_in_several_messages() -> None:
    data = bytes(range(256)) * 4 * 1024 * 6  # 6 MiB, more than a client takes in one message
    async with serving(Services(pieces=[(TABLE, data)])) as channel:
        stream = stub(channel).StreamResult(pb.StreamResultRequest(), metadata=AS_ALICE)
        answers = [answer async for answer in stream]
    assert b"".join(answer.data for answer in answers) == data
    assert [answer.HasField("result_set") for answer in answers][:2] == [True, False]


async def _nothing() -> AsyncIterator[bytes]:
    """The requests of a client that never sends one."""
    await asyncio.Event().wait()
    yield b""
