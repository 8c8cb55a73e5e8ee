"""What a REST caller reads when something is wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway.protocol import EnvelopedHttp
from tests.contract.rest_gateway import (
    PATIENCE,
    ROOT,
    Context,
    failure,
    parts,
    rest,
    running,
    says,
    service,
)

Code = grpc.StatusCode
NOWHERE = 1  # a port on which nobody listens


async def broken(request: pb.StatusRequest, _: Context) -> AsyncGenerator[Message, None]:
    if request.id:
        raise RuntimeError("secret")
    yield pb.StatusResponse()


def head_of_post(*, length: int) -> bytes:
    return f"POST {ROOT}/execute HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


async def silent(_: Message, __: Context) -> AsyncGenerator[Message, None]:
    await asyncio.Event().wait()
    yield pb.StatusResponse()


@pytest.mark.parametrize(
    ("code", "http", "status"),
    [
        (Code.INVALID_ARGUMENT, 400, 1),
        (Code.FAILED_PRECONDITION, 400, 1),
        (Code.NOT_FOUND, 400, 1),
        (Code.ALREADY_EXISTS, 400, 1),
        (Code.UNAUTHENTICATED, 401, -1),
        (Code.PERMISSION_DENIED, 403, 3),
        (Code.RESOURCE_EXHAUSTED, 429, 1),
        (Code.UNAVAILABLE, 503, 1),
        (Code.UNIMPLEMENTED, 501, 1),
        (Code.INTERNAL, 500, 1),
    ],
)
async def test_an_error_of_the_server_has_its_status_and_its_details(
    code: grpc.StatusCode, http: int, status: int
) -> None:
    error = failure(code, "Blank.", err_code=20007, reason="BLANK", violations={"code": "is blank"})
    async with service({"Status": says(error=error)}) as it, rest(it.port) as client:
        response = await client.get(f"{ROOT}/7/status")
    data = {
        "errCode": 20007,
        "reason": "BLANK",
        "violations": [{"field": "code", "description": "is blank"}],
    }
    assert parts(response) == (http, status, "errCode: 20007 ,desc: Blank.", data)
    assert response.json()["method"] == "/api/entrance/7/status"
    assert ("retry-after" in response.headers) == (http in (429, 503))


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"executionCode": "x"}, "executeApplicationName"),
        ({"executionCode": "x", "labels": {"route": "a"}}, "executeApplicationName"),
        ({"executionCode": "x", "labels": {"engineType": "a"}}, "labels.engineType"),
        ({"executionContent": {"code": "x"}}, "labels.engineType"),
    ],
)
async def test_a_wrong_field_is_named_as_its_caller_wrote_it(
    body: dict[str, Any], name: str
) -> None:
    error = failure(Code.INVALID_ARGUMENT, violations={"labels.engineType": "is wrong"})
    async with service({"Submit": says(error=error)}) as it, rest(it.port) as client:
        response = await client.post(f"{ROOT}/submit", json=body)
    assert parts(response)[3]["violations"] == [{"field": name, "description": "is wrong"}]


async def test_a_fault_of_the_server_shows_nothing_of_its_inside() -> None:
    async with service({"Status": broken}) as it, rest(it.port) as client:
        response = await client.get(f"{ROOT}/7/status")
    assert parts(response)[:2] == (500, 1)
    assert "secret" not in response.text


async def test_a_server_that_is_away_is_503() -> None:
    async with rest(NOWHERE) as client:
        response = await client.get(f"{ROOT}/7/status")
    assert parts(response)[:2] == (503, 1)
    assert "127.0.0.1" not in response.text
    assert response.headers["retry-after"]


async def test_a_server_that_does_not_answer_is_504() -> None:
    async with service({"Status": silent}) as it, rest(it.port, call_deadline=0.1) as client:
        response = await client.get(f"{ROOT}/7/status")
        await it.ended.wait()
    assert parts(response)[:2] == (504, 1)


async def test_a_fault_of_the_gateway_is_an_envelope_without_its_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr("entrance_gateway.render.data_of", fail)
    async with service() as it, rest(it.port) as client:
        response = await client.get(f"{ROOT}/7/status")
    assert parts(response)[:2] == (500, 1)
    assert "secret" not in response.text


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/api/rest_j/v1", f"{ROOT}/7", f"{ROOT}//status", f"{ROOT}/7/status/"]
)
async def test_an_unknown_path_is_404_under_its_own_name(path: str) -> None:
    async with rest(NOWHERE) as client:
        response = await client.get(path)
    assert parts(response) == (404, 1, "There is nothing at this path.", {})
    assert response.json()["method"] == path


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("POST", f"{ROOT}/7/status", "GET, HEAD, OPTIONS"),
        ("GET", f"{ROOT}/execute", "OPTIONS, POST"),
        ("DELETE", f"{ROOT}/7/killJobs", "OPTIONS, POST"),
        ("HEAD", f"{ROOT}/7/kill", "GET, OPTIONS"),
        ("HEAD", f"{ROOT}/7/pause", "GET, OPTIONS"),
        ("PURGE", f"{ROOT}/jobs", "GET, HEAD, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_verb_is_405_and_told_the_right_ones(
    verb: str, path: str, allowed: str
) -> None:
    async with service() as it, running(it.port) as gateway:
        response = await gateway.client.request(verb, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    assert verb == "HEAD" or parts(response)[1] == 1
    assert it.requests == []


async def test_a_verb_that_http_does_not_know_is_405_too() -> None:
    async with running(NOWHERE) as gateway:
        response = await gateway.client.request("MADEUP", f"{ROOT}/7/status")
    assert parts(response)[:2] == (405, 1)
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_options_tells_the_verbs_and_asks_nobody() -> None:
    async with service() as it, rest(it.port) as client:
        response = await client.options(f"{ROOT}/7/status")
    assert parts(response) == (200, 0, "OK", {})
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert it.requests == []


async def test_head_has_the_status_and_headers_of_get_and_no_body() -> None:
    async with service() as it, running(it.port) as gateway:
        head = await gateway.client.head(f"{ROOT}/7/status")
        get = await gateway.client.get(f"{ROOT}/7/status")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "errCode: 20001 ,desc: The body is empty; send a JSON object."),
        (b"{", "errCode: 20010 ,desc: The body is not JSON: "),
        (b'"\xff"', "errCode: 20010 ,desc: The body is not UTF-8 (at byte 1)."),
        (b'{"labels": 1}', "errCode: 20010 ,desc: 'labels' must be an object."),
        (b'{"source": {"\\ud800": "\\ud800"}}', "errCode: 20010 ,desc: 'source.?' has half a surr"),
        (
            b'{"a\\udfff": 1, "a\\udfff": 2}',
            "errCode: 20010 ,desc: The body has the key 'a?' twice",
        ),
        (b"[" * 100_000, "errCode: 20010 ,desc: The body is nested too deeply."),
    ],
)
async def test_a_body_that_can_not_be_read_is_400_with_its_reason(
    content: bytes, told: str
) -> None:
    async with service() as it, rest(it.port) as client:
        response = await client.post(f"{ROOT}/execute", content=content)
    http, status, words, data = parts(response)
    assert (http, status) == (400, 1)
    assert words.startswith(told)
    assert f"errCode: {data['errCode']} " in words
    assert it.requests == []


async def test_a_wrong_field_is_named_in_the_data_too() -> None:
    async with rest(NOWHERE) as client:
        response = await client.get(f"{ROOT}/7/log?size=x")
    assert response.json()["data"]["violations"] == [
        {"field": "size", "description": "must be an integer"}
    ]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_over_the_limit_is_413(is_chunked: bool) -> None:
    body = b'{"a":"' + b"x" * 3_000_000 + b'"}'

    async def pieces() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    content: Any = pieces() if is_chunked else body
    async with service() as it, running(it.port) as gateway:
        response = await gateway.client.post(f"{ROOT}/execute", content=content)
        after = await gateway.client.get(f"{ROOT}/7/status")
    assert parts(response)[:2] == (413, 1)
    assert "2,097,152 bytes" in response.json()["message"]
    assert after.status_code == 200
    assert len(it.requests) == 1


@pytest.mark.parametrize("coding", ["gzip", "BR", "gzip, identity"])
async def test_a_compressed_body_is_415(coding: str) -> None:
    body = gzip.compress(b"{}")
    async with service() as it, rest(it.port) as client:
        response = await client.post(
            f"{ROOT}/execute", content=body, headers={"Content-Encoding": coding}
        )
    assert parts(response)[:2] == (415, 1)
    assert f"sent as {coding}; send it as it is" in response.json()["message"]
    assert it.requests == []


async def test_a_body_may_say_that_it_is_as_it_is() -> None:
    async with service() as it, rest(it.port) as client:
        response = await client.post(
            f"{ROOT}/execute", content=b"{}", headers={"Content-Encoding": "Identity"}
        )
    assert response.status_code == 200
    assert len(it.requests) == 1


async def test_a_body_too_large_is_refused_before_it_is_sent() -> None:
    async with running(NOWHERE) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head_of_post(length=9_999_999))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_body_that_does_not_come_is_408() -> None:
    async with running(NOWHERE, body_deadline=0.1) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head_of_post(length=9) + b"{")
        answer = await reader.read()  # to the end: the connection is closed
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'{"method":"/api/entrance/execute","status":1,' in answer


async def test_a_client_that_leaves_while_it_sends_harms_nobody() -> None:
    async with service() as it, running(it.port) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head_of_post(length=9) + b"{")
        await writer.drain()
        writer.close()
        assert (await gateway.client.get("/health")).status_code == 200
    assert it.requests == []


async def test_what_is_not_http_is_answered_in_the_envelope_too() -> None:
    async with running(NOWHERE) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET / \0 HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert httpx.Response(400, content=body).json()["status"] == 1


async def test_requests_over_the_limit_are_told_to_come_back() -> None:
    begun, released = asyncio.Event(), asyncio.Event()

    async def slow(_: Message, __: Context) -> AsyncGenerator[Message, None]:
        begun.set()
        await released.wait()
        yield pb.StatusResponse()

    async with (
        service({"Status": slow}) as it,
        running(it.port, max_requests=1) as gateway,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(gateway.client.get(f"{ROOT}/7/status"))
        await begun.wait()
        refused = await gateway.client.get(f"{ROOT}/7/status")
        assert (await gateway.client.get("/health")).status_code == 200
        released.set()
        assert (await first).status_code == 200
        assert (await gateway.client.get(f"{ROOT}/7/status")).status_code == 200
    assert parts(refused)[:2] == (429, 1)
    assert refused.headers["retry-after"]


async def test_every_answer_forbids_to_guess_its_type_and_to_keep_it() -> None:
    async with service() as it, rest(it.port) as client:
        for path in (f"{ROOT}/7/status", "/nothing", "/health"):
            response = await client.get(path)
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_head_that_does_not_come_is_not_waited_for(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EnvelopedHttp, "head_deadline", 0.2)
    async with running(NOWHERE) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(sent)
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["status"] == 1


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /health HTTP/1.1\r\nHost: x\r\n",
        f"POST {ROOT}/execute HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".encode(),
    ],
)
async def test_header_fields_without_end_are_refused(begun: bytes) -> None:
    async with running(NOWHERE) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        answer = asyncio.create_task(reader.readline())
        writer.write(begun)
        while not answer.done():
            writer.write(b"X-More: " + b"x" * 1_000 + b"\r\n")
            await asyncio.wait({answer}, timeout=0.001)  # until it was taken
        writer.close()
    assert answer.result().startswith(b"HTTP/1.1 431 ")


async def test_header_fields_behind_a_body_are_nobodys_credentials() -> None:
    head = f"POST {ROOT}/execute HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with service() as it, running(it.port) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"{head}2\r\n{{}}\r\n0\r\nAuthorization: Bearer t\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
    assert "authorization" not in it.metadata


@pytest.mark.parametrize(
    ("line", "body"), [(f"GET {ROOT}/7/status", ""), (f"POST {ROOT}/execute", "{}")]
)
async def test_a_client_that_offers_another_protocol_is_served_by_this_one(
    line: str, body: str
) -> None:
    head = f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    async with service() as it, running(it.port) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        for more in (offer, "Connection: close\r\n"):
            writer.write(f"{head}{more}\r\n{body}".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            await reader.readuntil(b"}}")
        writer.close()


async def test_a_connection_is_good_for_the_next_request_however_long_it_was_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EnvelopedHttp, "head_deadline", 0.2)
    async with rest(NOWHERE) as client:
        for _ in range(2):
            assert (await client.get("/health")).status_code == 200
            await asyncio.sleep(0.3)  # longer than a head may take
