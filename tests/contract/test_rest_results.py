"""How a whole result set is sent by REST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import grpc
import httpx
import pytest
from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from tests.contract.rest_gateway import (
    ROOT,
    Context,
    failure,
    parts,
    rest,
    running,
    says,
    service,
)

RESULT = f"{ROOT}/exec_id1/results/2/stream"
TABLE = pb.ResultSet(index=2, media_type="application/vnd.apache.arrow.stream")
FIRST = pb.StreamResultResponse(result_set=TABLE, data=b"\0ab")
SECOND = pb.StreamResultResponse(data=b"cd\xff")


async def test_a_result_is_sent_as_its_bytes_under_its_type() -> None:
    async with service({"StreamResult": says(FIRST, SECOND)}) as it, running(it.port) as gateway:
        response = await gateway.client.get(f"{RESULT}?offset=5")
    assert it.request == pb.StreamResultRequest(id="exec_id1", index=2, offset=5)
    assert (response.status_code, response.content) == (200, b"\0abcd\xff")
    assert response.headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert response.headers["content-disposition"] == 'attachment; filename="exec_id1-2.arrows"'
    assert response.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_an_empty_result_is_empty() -> None:
    message = pb.StreamResultResponse(result_set=pb.ResultSet(media_type="text/plain"))
    async with service({"StreamResult": says(message)}) as it, rest(it.port) as client:
        response = await client.get(RESULT)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


async def test_an_error_before_the_first_byte_is_an_ordinary_answer() -> None:
    error = failure(grpc.StatusCode.NOT_FOUND, "No such result.")
    async with service({"StreamResult": says(error=error)}) as it, rest(it.port) as client:
        response = await client.get(RESULT)
    assert parts(response) == (400, 1, "No such result.", {"reason": "REASON"})


async def test_a_file_that_can_not_be_read_is_an_ordinary_answer_too() -> None:
    named = pb.StreamResultResponse(result_set=TABLE)
    error = failure(grpc.StatusCode.UNAVAILABLE, "It can't be had now.")
    async with service({"StreamResult": says(named, error=error)}) as it, rest(it.port) as client:
        response = await client.get(RESULT)
        head = await client.head(RESULT)
    assert parts(response) == (503, 1, "It can't be had now.", {"reason": "REASON"})
    assert head.status_code == 503


async def test_a_file_that_is_still_being_made_has_begun() -> None:
    made = asyncio.Event()

    async def slow(_: Message, __: Context) -> AsyncGenerator[Message, None]:
        yield pb.StreamResultResponse(result_set=TABLE)
        yield pb.StreamResultResponse()
        await made.wait()
        yield SECOND

    async with (
        service({"StreamResult": slow}) as it,
        running(it.port) as gateway,
        gateway.client.stream("GET", RESULT) as response,
    ):
        assert response.status_code == 200
        made.set()
        assert await response.aread() == SECOND.data


async def test_a_server_that_sends_no_result_is_500() -> None:
    async with service({"StreamResult": says()}) as it, rest(it.port) as client:
        response = await client.get(RESULT)
    assert parts(response)[:2] == (500, 1)


async def test_a_result_that_does_not_come_is_504() -> None:
    async def silent(_: Message, __: Context) -> AsyncGenerator[Message, None]:
        await asyncio.Event().wait()
        yield FIRST

    async with service({"StreamResult": silent}) as it, rest(it.port, call_deadline=0.1) as client:
        response = await client.get(RESULT)
        await it.ended.wait()
    assert parts(response)[:2] == (504, 1)


async def test_a_result_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    error = failure(grpc.StatusCode.INTERNAL, "The disk is gone.")
    async with (
        service({"StreamResult": says(FIRST, error=error)}) as it,
        running(it.port) as gateway,
        gateway.client.stream("GET", RESULT) as response,
    ):
        received = response.aiter_raw()
        assert await anext(received) == FIRST.data
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(received)


async def test_head_tells_the_type_and_sends_nothing() -> None:
    async with service({"StreamResult": says(FIRST, SECOND)}) as it, running(it.port) as gateway:
        response = await gateway.client.head(RESULT)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/vnd.apache.arrow.stream"


async def test_a_reader_that_leaves_ends_the_call_at_once() -> None:
    async def endless(_: Message, __: Context) -> AsyncGenerator[Message, None]:
        yield FIRST
        await asyncio.Event().wait()

    async with service({"StreamResult": endless}) as it, running(it.port) as gateway:
        async with gateway.client.stream("GET", RESULT) as response:
            await anext(response.aiter_raw())
        await it.ended.wait()
