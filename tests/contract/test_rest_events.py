"""How a job is followed by server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from itertools import count

import grpc
import pytest
from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from tests.contract.rest_gateway import (
    ROOT,
    Context,
    Event,
    Script,
    events,
    failure,
    parts,
    rest,
    running,
    says,
    service,
)

LOG = f"{ROOT}/7/log/stream"
LINES = ["one", "", "two", "three ä\u2028", "four"]
STREAMS = ["log/stream", "progress/stream", "watch"]
every_stream = pytest.mark.parametrize("path", STREAMS)


def chunk(line: int, level: pb.LogLevel.ValueType = pb.LOG_LEVEL_INFO) -> pb.LogChunk:
    return pb.LogChunk(from_line=line, line_count=1, level=level, text=LINES[line - 1] + "\n")


async def whole_log(
    request: pb.StreamLogRequest, _: Context
) -> AsyncGenerator[pb.StreamLogResponse, None]:
    """The log of an ended job from any line on, a line in each message."""
    last = len(LINES)
    for line in range(max(request.from_line, 1), last + 1):
        yield pb.StreamLogResponse(chunks=[chunk(line)], next_line=line + 1)
    yield pb.StreamLogResponse(next_line=last + 1, status=pb.JOB_STATUS_SUCCEED)


def first_then_wait(*messages: Message) -> Script:
    async def script(_: Message, __: Context) -> AsyncGenerator[Message, None]:
        for message in messages:
            yield message
        await asyncio.Event().wait()

    return script


def lines_of(seen: Sequence[Event]) -> list[str]:
    return [
        line for event in seen if event.name == "log" for line in json.loads(event.data)["lines"]
    ]


async def test_a_log_is_followed_to_its_end() -> None:
    async with (
        service({"StreamLog": whole_log}) as it,
        running(it.port) as gateway,
        gateway.client.stream("GET", LOG) as response,
    ):
        seen = [event async for event in events(response)]
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-store"
    first = {"fromLine": 1, "level": "info", "lines": ["one"]}
    assert (seen[0].name, json.loads(seen[0].data), seen[0].id) == ("log", first, "2")
    assert lines_of(seen) == LINES
    assert (seen[-1].name, json.loads(seen[-1].data), seen[-1].id) == (
        "end",
        {"status": "Succeed"},
        "end",
    )


@pytest.mark.parametrize("received", range(len(LINES) + 2))
async def test_a_reader_that_comes_back_after_any_event_sees_each_line_once(received: int) -> None:
    async with service({"StreamLog": whole_log}) as it, running(it.port) as gateway:
        seen: list[Event] = []
        while not seen or seen[-1].name != "end":
            headers = {"Last-Event-ID": seen[-1].id} if seen else {}
            async with gateway.client.stream("GET", LOG, headers=headers) as response:
                async for event in events(response):
                    seen.append(event)
                    if len(seen) == received:
                        break
    assert lines_of(seen) == LINES


async def test_who_has_the_end_is_told_to_stop_without_a_call() -> None:
    async with service() as it, rest(it.port) as client:
        for path in STREAMS:
            response = await client.get(f"{ROOT}/7/{path}", headers={"Last-Event-ID": "end"})
            assert (response.status_code, response.content) == (204, b"")
    assert it.requests == []


async def test_the_id_of_the_last_event_wins_over_the_query() -> None:
    async with service({"StreamLog": whole_log}) as it, rest(it.port) as client:
        await client.get(f"{LOG}?fromLine=2&levels=warn,error", headers={"Last-Event-ID": "4"})
        await client.get(f"{LOG}?fromLine=2", headers={"Last-Event-ID": ""})
    assert it.requests == [
        pb.StreamLogRequest(id="7", from_line=4, levels=[pb.LOG_LEVEL_WARN, pb.LOG_LEVEL_ERROR]),
        pb.StreamLogRequest(id="7", from_line=2),
    ]


async def test_a_strange_id_of_the_last_event_is_400() -> None:
    async with service() as it, rest(it.port) as client:
        response = await client.get(LOG, headers={"Last-Event-ID": "x"})
    assert parts(response)[:2] == (400, 1)
    assert "Last-Event-ID" in response.json()["message"]
    assert it.requests == []


async def test_progress_and_job_are_followed_to_their_end() -> None:
    half = pb.StreamProgressResponse(progress=0.5, task_id=7, status=pb.JOB_STATUS_RUNNING)
    whole = pb.StreamProgressResponse(progress=1, task_id=7, status=pb.JOB_STATUS_FAILED)
    job = pb.WatchJobResponse(job=pb.Job(task_id=7, status=pb.JOB_STATUS_FAILED))
    scripts = {"StreamProgress": says(half, whole), "WatchJob": says(job)}
    async with service(scripts) as it, running(it.port) as gateway:
        async with gateway.client.stream("GET", f"{ROOT}/7/progress/stream") as response:
            progress = [event async for event in events(response)]
        async with gateway.client.stream("GET", f"{ROOT}/7/watch") as response:
            watched = [event async for event in events(response)]
    assert [event.name for event in progress] == ["progress", "progress", "end"]
    assert [json.loads(event.data).get("progress") for event in progress] == [0.5, 1.0, None]
    assert [event.name for event in watched] == ["job", "end"]
    assert json.loads(watched[0].data)["taskID"] == 7
    assert json.loads(watched[1].data) == json.loads(progress[2].data) == {"status": "Failed"}


@every_stream
async def test_an_error_before_the_first_event_is_an_ordinary_answer(path: str) -> None:
    denied = says(error=failure(grpc.StatusCode.PERMISSION_DENIED, "Not yours."))
    scripts = {"StreamLog": denied, "StreamProgress": denied, "WatchJob": denied}
    async with service(scripts) as it, rest(it.port) as client:
        response = await client.get(f"{ROOT}/7/{path}")
    assert parts(response) == (403, 3, "Not yours.", {"reason": "REASON"})
    assert response.json()["method"] == f"/api/entrance/7/{path}"


async def test_an_error_after_the_first_event_is_an_event_and_the_end_of_the_stream() -> None:
    message = pb.StreamLogResponse(chunks=[chunk(1)], next_line=2)
    error = failure(grpc.StatusCode.UNAVAILABLE, "Restarting.")
    async with (
        service({"StreamLog": says(message, error=error)}) as it,
        running(it.port) as gateway,
        gateway.client.stream("GET", LOG) as response,
    ):
        log, told = [event async for event in events(response)]
    assert log.name == "log"
    assert (told.name, told.id) == ("error", "2")
    assert json.loads(told.data) == {
        "method": "/api/entrance/7/log/stream",
        "status": 1,
        "message": "Restarting.",
        "data": {"reason": "REASON"},
    }


async def test_a_silent_stream_is_open_and_kept_alive() -> None:
    async with (
        service({"StreamLog": first_then_wait()}) as it,
        running(it.port, open_wait=0.01, keep_alive=0.01) as gateway,
        gateway.client.stream("GET", LOG) as response,
    ):
        assert response.status_code == 200
        received = response.aiter_lines()
        assert (await anext(received)).startswith("retry: ")
        assert [await anext(received) for _ in range(5)] == ["", ":", "", ":", ""]


async def test_an_event_after_a_long_silence_is_not_lost() -> None:
    wanted = asyncio.Event()

    async def late(_: Message, __: Context) -> AsyncGenerator[Message, None]:
        await wanted.wait()
        yield pb.StreamLogResponse(chunks=[chunk(1)], next_line=2, status=pb.JOB_STATUS_SUCCEED)

    async with (
        service({"StreamLog": late}) as it,
        running(it.port, open_wait=0.01, keep_alive=0.01) as gateway,
        gateway.client.stream("GET", LOG) as response,
    ):
        async for line in (received := response.aiter_lines()):
            if line == ":":
                break
        wanted.set()
        rest_of_it = [line async for line in received]
    assert [line for line in rest_of_it if line.startswith("event")] == ["event: log", "event: end"]


@every_stream
async def test_a_reader_that_leaves_ends_the_call_at_once(path: str) -> None:
    messages = {
        "StreamLog": pb.StreamLogResponse(chunks=[chunk(1)], next_line=2),
        "StreamProgress": pb.StreamProgressResponse(),
        "WatchJob": pb.WatchJobResponse(job=pb.Job(task_id=7)),
    }
    scripts = {rpc: first_then_wait(message) for rpc, message in messages.items()}
    async with service(scripts) as it, running(it.port) as gateway:
        async with gateway.client.stream("GET", f"{ROOT}/7/{path}") as response:
            await anext(events(response))
            assert not it.ended.is_set()
        await it.ended.wait()


async def test_head_opens_no_stream_that_stays() -> None:
    message = pb.StreamLogResponse(chunks=[chunk(1)], next_line=2)
    async with service({"StreamLog": first_then_wait(message)}) as it, running(it.port) as gateway:
        response = await gateway.client.head(LOG)
        assert response.headers["content-type"] == "text/event-stream"
        await it.ended.wait()


async def test_a_slow_reader_holds_the_server_back() -> None:
    sent = 0
    big = pb.LogChunk(from_line=1, line_count=1, level=pb.LOG_LEVEL_INFO, text="x" * 65_536 + "\n")
    is_held = asyncio.Event()

    async def endless(_: Message, __: Context) -> AsyncGenerator[Message, None]:
        nonlocal sent
        watch = asyncio.get_running_loop()
        for line in count(2):
            pause = watch.call_later(0.3, is_held.set)
            yield pb.StreamLogResponse(chunks=[big], next_line=line)
            pause.cancel()
            sent += 1

    async with service({"StreamLog": endless}) as it, running(it.port) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"GET {LOG} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await is_held.wait()  # a message waits to be sent, since nobody reads
        held_at = sent
        await reader.readexactly(64 * 1024 * held_at)
        while sent <= held_at:
            await reader.read(65_536)
        writer.close()
        await writer.wait_closed()
    assert held_at < 1_000


async def test_streams_end_when_the_gateway_stops() -> None:
    message = pb.StreamLogResponse(chunks=[chunk(1)], next_line=2)
    async with (
        service({"StreamLog": first_then_wait(message)}) as it,
        running(it.port, shutdown_grace=600) as gateway,
        gateway.client.stream("GET", LOG) as response,
    ):
        received = events(response)
        await anext(received)
        gateway.stop.set()
        assert [event async for event in received] == []
        await it.ended.wait()
        await gateway.task


async def test_a_reader_that_comes_back_waits_for_a_server_that_restarts() -> None:
    async with service({"StreamLog": whole_log}) as it:
        port = it.port
    async with (
        running(port, open_wait=0.01, keep_alive=0.01) as gateway,
        gateway.client.stream("GET", LOG, headers={"Last-Event-ID": "3"}) as response,
    ):
        assert response.status_code == 200
        async with service({"StreamLog": whole_log}, port=port):
            seen = [event async for event in events(response)]
    assert lines_of(seen) == LINES[2:]
