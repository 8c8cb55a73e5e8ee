"""Every operation by REST: what the server is asked, and what the caller reads."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from tests.contract.rest_gateway import ROOT, parts, rest, says, service

IDS: dict[str, Any] = {"exec_id": "exec_id1", "task_id": 7}
OK = (200, 0, "OK")


@pytest.mark.parametrize(
    ("path", "rpc", "asked", "answer", "data"),
    [
        (
            "/exec_id1/status?taskID=7",
            "Status",
            pb.StatusRequest(id="exec_id1", task_id=7),
            pb.StatusResponse(status=pb.JOB_STATUS_RUNNING, **IDS),
            {"status": "Running", "execID": "exec_id1", "taskID": 7},
        ),
        (
            "/7/progress",
            "Progress",
            pb.ProgressRequest(id="7"),
            pb.ProgressResponse(
                progress=0.5, progress_info=[pb.ProgressInfo(id="1", total_tasks=2)], **IDS
            ),
            {
                "progress": 0.5,
                "execID": "exec_id1",
                "taskID": 7,
                "progressInfo": [
                    {
                        "id": "1",
                        "succeedTasks": 0,
                        "failedTasks": 0,
                        "runningTasks": 0,
                        "totalTasks": 2,
                    }
                ],
            },
        ),
        (
            "/7/progressWithResource",
            "ProgressWithResource",
            pb.ProgressWithResourceRequest(id="7"),
            pb.ProgressWithResourceResponse(progress=1, **IDS),
            {
                "progress": 1.0,
                "execID": "exec_id1",
                "taskID": 7,
                "progressInfo": [],
                "yarnResource": None,
            },
        ),
        (
            "/7/log?fromLine=3&size=10",
            "Log",
            pb.LogRequest(id="7", from_line=3, size=10),
            pb.LogResponse(from_line=4, log=["", "", "a", "a"], **IDS),
            {"execID": "exec_id1", "taskID": 7, "fromLine": 4, "log": ["", "", "a", "a"]},
        ),
        (
            "/7/log?distinctLevel=false",
            "Log",
            pb.LogRequest(id="7", distinct_level=False),
            pb.LogResponse(from_line=4, log=["a\nb"], **IDS),
            {"execID": "exec_id1", "taskID": 7, "fromLine": 4, "log": "a\nb"},
        ),
        (
            "/7/job",
            "GetJob",
            pb.GetJobRequest(id="7"),
            pb.GetJobResponse(),
            {"job": None},
        ),
        (
            "/jobs?pageSize=5&statuses=Failed&executeUser=alice",
            "ListJobs",
            pb.ListJobsRequest(page_size=5, statuses=[pb.JOB_STATUS_FAILED], execute_user="alice"),
            pb.ListJobsResponse(next_page_token="t"),
            {"jobs": [], "nextPageToken": "t"},
        ),
        (
            "/7/results?pageToken=t",
            "ListResults",
            pb.ListResultsRequest(id="7", page_token="t"),
            pb.ListResultsResponse(),
            {"resultSets": [], "nextPageToken": ""},
        ),
        (
            "/7/results/2?pageSize=1",
            "ReadResult",
            pb.ReadResultRequest(id="7", index=2, page_size=1),
            pb.ReadResultResponse(rows=[pb.Row(cells=[pb.Cell(text="1"), pb.Cell()])]),
            {"resultSet": None, "rows": [["1", None]], "content": "", "nextPageToken": ""},
        ),
        (
            "/engines",
            "ListEngines",
            pb.ListEnginesRequest(),
            pb.ListEnginesResponse(engines=[pb.Engine(engine_type="shell", run_types=["sh"])]),
            {
                "engines": [
                    {
                        "engineType": "shell",
                        "version": "",
                        "runTypes": ["sh"],
                        "description": "",
                        "parameters": [],
                    }
                ]
            },
        ),
    ],
)
async def test_a_reading_operation(
    path: str, rpc: str, asked: Message, answer: Message, data: dict[str, Any]
) -> None:
    async with service({rpc: says(answer)}) as it, rest(it.port) as client:
        response = await client.get(ROOT + path)
    assert it.request == asked
    assert parts(response) == (*OK, data)
    assert response.json()["method"] == "/api/entrance" + path.partition("?")[0]
    assert response.headers["content-type"] == "application/json;charset=UTF-8"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kill", "Successfully killed the job"),
        ("pause", "Successfully paused the job"),
        ("resume", "Successfully resumed the job"),
    ],
)
async def test_an_operation_on_a_job_says_what_it_did(name: str, words: str) -> None:
    rpc = name.title()
    answer = getattr(pb, f"{rpc}Response")(**IDS)
    async with service({rpc: says(answer)}) as it, rest(it.port) as client:
        response = await client.get(f"{ROOT}/7/{name}")
    assert it.request == getattr(pb, f"{rpc}Request")(id="7")
    assert parts(response) == (200, 0, words, {"execID": "exec_id1", "taskID": 7})


@pytest.mark.parametrize("name", ["execute", "submit"])
@pytest.mark.parametrize(
    ("body", "labels"),
    [
        (
            {
                "executionContent": {"code": "SELECT 1", "runType": "sql"},
                "labels": {"engineType": "duckdb", "jobRunningTimeout": 60},
            },
            {"engineType": "duckdb", "jobRunningTimeout": "60"},
        ),
        (
            {"executionCode": "SELECT 1", "executeApplicationName": "duckdb"},
            {"engineType": "duckdb", "creator": "IDE"},
        ),
    ],
)
async def test_a_job_is_submitted_in_both_documented_forms(
    name: str, body: dict[str, Any], labels: dict[str, str]
) -> None:
    rpc = name.title()
    answer = getattr(pb, f"{rpc}Response")(**IDS)
    async with service({rpc: says(answer)}) as it, rest(it.port) as client:
        response = await client.post(f"{ROOT}/{name}", json=body)
    content = pb.ExecutionContent(code="SELECT 1", run_type="sql")
    assert it.request == getattr(pb, f"{rpc}Request")(execution_content=content, labels=labels)
    assert parts(response) == (*OK, {"execID": "exec_id1", "taskID": 7})
    assert response.json()["method"] == f"/api/entrance/{name}"


async def test_several_jobs_are_killed_with_an_answer_each() -> None:
    answer = pb.KillJobsResponse(messages=[pb.KillJobResult(id="7", **IDS)])
    body = {"idList": ["7"], "taskIDList": [7]}
    async with service({"KillJobs": says(answer)}) as it, rest(it.port) as client:
        response = await client.post(f"{ROOT}/%23id/killJobs", json=body)
    assert it.request == pb.KillJobsRequest(id="#id", id_list=["7"], task_id_list=[7])
    envelope = {
        "method": "/api/entrance/7/kill",
        "status": 0,
        "message": "Successfully killed the job",
        "data": {"execID": "exec_id1", "taskID": 7},
    }
    assert parts(response) == (*OK, {"messages": [envelope]})
    assert response.json()["method"] == "/api/entrance/#id/killJobs"


async def test_the_content_type_of_a_body_is_not_insisted_on() -> None:
    async with service() as it, rest(it.port) as client:
        response = await client.post(f"{ROOT}/execute", content=b'{"priority": 3}')
    assert response.status_code == 200
    assert it.request.priority == 3


@pytest.mark.parametrize(
    ("encoded", "id"),
    [
        ("a%2Fb", "a/b"),
        ("%00%0A", "\0\n"),
        ("%C3%A4", "ä"),
        ("%FF", "\ufffd"),
        ("..%2F..", "../.."),
        ("x" * 10_000, "x" * 10_000),
    ],
)
async def test_an_id_reaches_the_server_as_the_caller_wrote_it(encoded: str, id: str) -> None:
    async with service() as it, rest(it.port) as client:
        response = await client.get(f"{ROOT}/{encoded}/status")
    assert it.request.id == id
    assert response.json()["method"] == f"/api/entrance/{id}/status"


async def test_a_word_of_the_api_is_not_taken_for_an_id() -> None:
    async with service() as it, rest(it.port) as client:
        await client.get(f"{ROOT}/jobs/status")
        await client.get(f"{ROOT}/jobs")
    assert it.requests == [pb.StatusRequest(id="jobs"), pb.ListJobsRequest()]


async def test_every_unary_call_has_a_deadline() -> None:
    async with service() as it, rest(it.port, call_deadline=17) as client:
        await client.get(f"{ROOT}/7/status")
    assert it.deadline is not None
    assert 0 < it.deadline < 18


async def test_a_64_bit_number_keeps_every_digit() -> None:
    answer = pb.StatusResponse(task_id=2**63 - 1)
    async with service({"Status": says(answer)}) as it, rest(it.port) as client:
        response = await client.get(f"{ROOT}/7/status")
    assert response.json()["data"]["taskID"] == 2**63 - 1
