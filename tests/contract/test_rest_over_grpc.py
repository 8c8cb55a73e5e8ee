"""The gateway in front of the real gRPC edge: one answer, told in two protocols."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from entrance_gateway.app import Application
from entrance_server.domain import errors
from entrance_server.logs.levels import LogChunk, LogLevel
from entrance_server.service.views import KillOutcome, LogBatch, SubmitCommand
from tests.contract import grpc_edge
from tests.contract.rest_gateway import ROOT, events, parts, settings

AS_ALICE = {"Authorization": "Bearer alice"}
JOB = grpc_edge.JOB
IDS = {"execID": JOB.exec_id, "taskID": JOB.task_id}


@asynccontextmanager
async def rest(services: grpc_edge.Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of alice's, of a gateway in front of an edge with these services."""
    async with grpc_edge.serving(services) as channel:
        transport = httpx.ASGITransport(Application(settings(0), channel))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://gateway", headers=AS_ALICE
        ) as client:
            yield client


async def test_a_job_is_submitted_as_whom_the_credentials_name() -> None:
    services = grpc_edge.Services()
    body = {"executionCode": "SELECT 1", "executeApplicationName": "duckdb"}
    async with rest(services) as client:
        response = await client.post(f"{ROOT}/execute", json=body)
    assert parts(response) == (200, 0, "OK", IDS)
    ((caller, command),) = services.asked
    assert caller == grpc_edge.ALICE
    assert isinstance(command, SubmitCommand)
    assert (command.code, command.run_type) == ("SELECT 1", "sql")
    assert command.labels == {"engineType": "duckdb", "creator": "IDE"}


async def test_a_call_without_credentials_is_refused() -> None:
    async with rest(grpc_edge.Services()) as client:
        response = await client.get(f"{ROOT}/7/status", headers={"Authorization": "Bearer other"})
        stream = await client.get(f"{ROOT}/7/log/stream", headers={"Authorization": ""})
    assert parts(response)[:2] == parts(stream)[:2] == (401, -1)


@pytest.mark.parametrize(
    ("error", "http", "status"),
    [
        (errors.InvalidRequest("Blank.", err_code=20007), 400, 1),
        (errors.NotFound("No job."), 400, 1),
        (errors.WrongState("It ended."), 400, 1),
        (errors.RequestIdReused("Used."), 400, 1),
        (errors.PermissionDenied("Not yours."), 403, 3),
        (errors.Exhausted("The queue is full."), 429, 1),
        (errors.Unavailable("Draining."), 503, 1),
        (errors.Unsupported("Not for this engine."), 501, 1),
    ],
    ids=lambda value: value.reason if isinstance(value, errors.EntranceError) else "",
)
async def test_an_error_of_the_domain_keeps_its_words(
    error: errors.EntranceError, http: int, status: int
) -> None:
    async with rest(grpc_edge.Services(error=error)) as client:
        response = await client.get(f"{ROOT}/7/status")
    words = f"errCode: {error.err_code} ,desc: {error.message}" if error.err_code else error.message
    assert parts(response)[:3] == (http, status, words)
    assert response.json()["data"].get("errCode") == error.err_code
    assert response.json()["data"]["reason"] == error.reason


async def test_wrong_fields_are_listed() -> None:
    violation = errors.FieldViolation("labels.engineType", "is missing")
    error = errors.InvalidRequest("No engine.", violations=[violation])
    async with rest(grpc_edge.Services(error=error)) as client:
        response = await client.post(f"{ROOT}/submit", json={})
    assert response.json()["data"]["violations"] == [
        {"field": "labels.engineType", "description": "is missing"}
    ]


async def test_each_of_several_kills_has_its_own_answer() -> None:
    ended = errors.WrongState("It ended.")
    outcomes = [KillOutcome("7", JOB, None), KillOutcome("8", JOB, ended)]
    body = {"idList": ["7", "8"], "taskIDList": [7, 8]}
    async with rest(grpc_edge.Services(outcomes=outcomes)) as client:
        response = await client.post(f"{ROOT}/any/killJobs", json=body)
    killed, refused = response.json()["data"]["messages"]
    assert (killed["status"], killed["message"]) == (0, "Successfully killed the job")
    assert (refused["status"], refused["message"]) == (1, "It ended.")
    assert killed["data"] == IDS
    assert refused["data"]["execID"] == JOB.exec_id


async def test_a_log_is_followed() -> None:
    batches = [
        LogBatch([LogChunk(1, 2, LogLevel.INFO, b"a\nb\n")], 3),
        LogBatch([LogChunk(3, 1, LogLevel.ERROR, b"c\n")], 4, JOB),
    ]
    async with (
        rest(grpc_edge.Services(batches=batches)) as client,
        client.stream("GET", f"{ROOT}/7/log/stream") as response,
    ):
        seen = [event async for event in events(response)]
    lines = [json.loads(event.data).get("lines") for event in seen[:2]]
    assert lines == [["a", "b"], ["c"]]
    assert [event.id for event in seen[:2]] == ["3", "4"]


async def test_a_result_is_sent_whole() -> None:
    pieces = [(grpc_edge.TABLE, b"ab"), (None, b"cd")]
    async with rest(grpc_edge.Services(pieces=pieces)) as client:
        response = await client.get(f"{ROOT}/7/results/0/stream")
    assert response.content == b"abcd"
    assert response.headers["content-type"] == "application/vnd.apache.arrow.stream"
