"""A stream of server-sent events goes on at another server when its own is lost."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import httpx
import pytest
from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway import stream
from tests.contract.rest_gateway import (
    ROOT,
    Context,
    Event,
    Script,
    Service,
    events,
    running,
    says,
    service,
)
from tests.contract.test_rest_events import first_then_wait

LINES = ["one", "two", "three"]
RUNNING = pb.JOB_STATUS_RUNNING
ENDED = pb.JOB_STATUS_SUCCEED


def lines(first: int, last: int) -> pb.StreamLogResponse:
    text = "".join(f"{line}\n" for line in LINES[first - 1 : last])
    chunk = pb.LogChunk(from_line=first, line_count=last - first + 1, text=text)
    return pb.StreamLogResponse(chunks=[chunk], next_line=last + 1)


LOG = (lines(1, 2), lines(3, 3), pb.StreamLogResponse(next_line=4, status=ENDED))
PROGRESS = (
    pb.StreamProgressResponse(progress=0.5, status=RUNNING),
    pb.StreamProgressResponse(progress=1, status=ENDED),
)
JOB = (
    pb.WatchJobResponse(job=pb.Job(task_id=7, status=RUNNING)),
    pb.WatchJobResponse(job=pb.Job(task_id=7, status=ENDED)),
)


def in_turn(*scripts: Script) -> Script:
    """Answers one call after the other."""
    left = iter(scripts)
    return lambda request, context: next(left)(request, context)


class Servers:
    """Some servers that tell the same, and of which those that have been asked can be ended."""

    def __init__(self) -> None:
        self._running: dict[AsyncExitStack, Service] = {}

    async def start(self, scripts: dict[str, Script], port: int = 0) -> Service:
        stack = AsyncExitStack()
        self._running[stack] = it = await stack.enter_async_context(service(scripts, port=port))
        return it

    async def end_asked(self) -> Service:
        """Ends the one that has been asked."""
        ((stack, it),) = [pair for pair in self._running.items() if pair[1].requests]
        del self._running[stack]
        await stack.aclose()
        return it

    async def close(self) -> None:
        for stack in self._running:
            await stack.aclose()


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    found = Servers()
    try:
        yield found
    finally:
        await found.close()


def target(*found: Service) -> str:
    return ",".join(f"127.0.0.1:{one.port}" for one in found)


async def first_of(response: httpx.Response) -> tuple[Event, AsyncIterator[Event]]:
    coming = events(response)
    return await anext(coming), coming


@pytest.mark.parametrize(
    ("path", "rpc", "first", "rest"),
    [
        ("log/stream", "StreamLog", LOG[:1], LOG[1:]),
        # who begins anew with states tells the one again that was told last
        ("progress/stream", "StreamProgress", PROGRESS[:1], PROGRESS),
        ("watch", "WatchJob", JOB[:1], JOB),
    ],
)
async def test_what_was_not_told_yet_comes_from_another_server(
    path: str, rpc: str, first: Sequence[Message], rest: Sequence[Message]
) -> None:
    scripts = {rpc: in_turn(first_then_wait(*first), says(*rest))}
    async with servers() as found:
        a, b = await found.start(scripts), await found.start(scripts)
        async with (
            running(a.port, server_target=target(a, b)) as gateway,
            gateway.client.stream("GET", f"{ROOT}/7/{path}") as response,
        ):
            told, coming = await first_of(response)
            ended = await found.end_asked()
            after = [event async for event in coming]
    assert told.name == after[0].name
    assert [event.name for event in after[1:]] == ["end"]
    if rpc == "StreamLog":
        assert json.loads(after[0].data)["lines"] == LINES[2:]
        (asked,) = (b if ended is a else a).requests
        assert asked == pb.StreamLogRequest(id="7", from_line=3)


async def test_a_stream_waits_for_its_only_server() -> None:
    scripts = {"StreamLog": in_turn(first_then_wait(LOG[0]), says(*LOG[1:]))}
    async with servers() as found:
        only = await found.start(scripts)
        async with (
            running(only.port) as gateway,
            gateway.client.stream("GET", f"{ROOT}/7/log/stream") as response,
        ):
            _, coming = await first_of(response)
            await found.end_asked()
            await found.start(scripts, only.port)
            assert [event.name async for event in coming] == ["log", "end"]


async def test_a_stream_whose_servers_stay_away_ends_with_an_error_that_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "RESUMED_WITHIN", 0.1)
    async with servers() as found:
        only = await found.start({"StreamLog": first_then_wait(LOG[0])})
        async with (
            running(only.port) as gateway,
            gateway.client.stream("GET", f"{ROOT}/7/log/stream") as response,
        ):
            _, coming = await first_of(response)
            await found.end_asked()
            (error,) = [event async for event in coming]
    assert error.name == "error"
    assert error.id == "3"
    assert json.loads(error.data)["data"]["reason"] == "UNAVAILABLE"


async def test_a_stream_that_is_refused_again_and_again_ends_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "RESUMED_WITHIN", 0.5)

    async def once(request: Message, context: Context) -> AsyncGenerator[Message, None]:
        if len(it.requests) == 1:
            yield LOG[0]
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no healthy upstream")  # as a proxy does

    async with (
        service({"StreamLog": once}) as it,
        running(it.port) as gateway,
        gateway.client.stream("GET", f"{ROOT}/7/log/stream") as response,
    ):
        told = [event.name async for event in events(response)]
    assert told == ["log", "error"]
    assert len(it.requests) < 10


async def test_a_stream_that_has_told_the_end_is_not_begun_again() -> None:
    scripts = {"StreamLog": first_then_wait(*LOG)}
    async with servers() as found:
        a, b = await found.start(scripts), await found.start(scripts)
        async with (
            running(a.port, server_target=target(a, b)) as gateway,
            gateway.client.stream("GET", f"{ROOT}/7/log/stream") as response,
        ):
            names = []
            async for event in events(response):
                names.append(event.name)
                if event.name == "end":
                    ended = await found.end_asked()
    assert names == ["log", "log", "end"]
    assert not (b if ended is a else a).requests
