"""Whose call it is: the gateway hands credentials on and decides nothing."""

from __future__ import annotations

import grpc
import pytest

from tests.contract.rest_gateway import ROOT, failure, parts, rest, says, service

REFUSED = failure(grpc.StatusCode.UNAUTHENTICATED, "Send a token.", reason="UNAUTHENTICATED")


async def test_the_callers_credentials_reach_the_server() -> None:
    headers = {"Authorization": "Bearer a", "Token-Code": "c", "Token-User": "alice"}
    async with service() as it, rest(it.port) as client:
        await client.get(f"{ROOT}/7/status", headers=headers)
    own = {name: it.metadata.get(name) for name in ("authorization", "token-code", "token-user")}
    assert own == {"authorization": "Bearer a", "token-code": "c", "token-user": "alice"}


async def test_no_other_header_reaches_the_server() -> None:
    headers = {"X-Forwarded-For": "10.0.0.1", "X-Entrance-User": "root", "Cookie": "a=b"}
    async with service() as it, rest(it.port) as client:
        await client.get(f"{ROOT}/7/status", headers=headers)
    assert set(it.metadata) == {"user-agent", "caller-address"}
    assert it.metadata["caller-address"] == "127.0.0.1"


async def test_a_call_without_credentials_is_refused_by_the_server() -> None:
    async with service({"Status": says(error=REFUSED)}) as it, rest(it.port) as client:
        response = await client.get(f"{ROOT}/7/status")
    assert parts(response) == (401, -1, "Send a token.", {"reason": "UNAUTHENTICATED"})
    assert response.headers["www-authenticate"]
    assert len(it.requests) == 1


@pytest.mark.parametrize("value", [b"Bearer \xc3\xa4", b"Bearer a\tb", b"x" * 5000])
async def test_credentials_that_can_not_be_handed_on_are_401(value: bytes) -> None:
    async with service() as it, rest(it.port) as client:
        response = await client.get(f"{ROOT}/7/status", headers=[(b"Authorization", value)])
    assert parts(response)[:2] == (401, -1)
    assert it.requests == []


async def test_streams_hand_credentials_on_too() -> None:
    headers = {"Authorization": "Bearer a"}
    async with service() as it, rest(it.port) as client:
        for path in ("log/stream", "progress/stream", "watch", "results/0/stream"):
            await client.get(f"{ROOT}/7/{path}", headers=headers)
            assert it.metadata["authorization"] == "Bearer a"
