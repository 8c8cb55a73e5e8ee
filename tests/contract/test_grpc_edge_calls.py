"""What each call hands to the service, and what it answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain import errors
from entrance_server.domain.job import JobParams
from entrance_server.domain.status import JobStatus
from entrance_server.logs.levels import LogChunk, LogLevel
from entrance_server.rpc.edge import Method
from entrance_server.rpc.server import Limits
from entrance_server.service.views import KillOutcome, LogBatch, SubmitCommand
from entrance_server.store.port import JobFilter
from tests.contract.grpc_edge import ALICE, AS_ALICE, JOB, TABLE, Services, serving, stub

IDS: dict[str, Any] = {"exec_id": JOB.exec_id, "task_id": JOB.task_id}
BODY: dict[str, Any] = {
    "execution_content": pb.ExecutionContent(code="SELECT 1", run_type="sql"),
    "params": pb.JobParams(
        variable={"a": "1"}, configuration=pb.JobConfiguration(runtime={"b": "2"})
    ),
    "labels": {"engineType": "duckdb"},
    "source": {"scriptPath": "x.sql"},
    "request_id": "r",
    "priority": -3,
}
COMMAND: dict[str, Any] = {
    "code": "SELECT 1",
    "run_type": "sql",
    "params": JobParams(variable={"a": "1"}, runtime={"b": "2"}),
    "labels": {"engineType": "duckdb"},
    "source": {"scriptPath": "x.sql"},
    "request_id": "r",
    "priority": -3,
    "peer": "127.0.0.1",
}


@pytest.fixture
def services() -> Services:
    return Services()


async def test_execute_submits_as_the_caller(services: Services) -> None:
    async with serving(services) as channel:
        answer = await stub(channel).Execute(pb.ExecuteRequest(**BODY), metadata=AS_ALICE)
    assert services.asked == [(ALICE, SubmitCommand(**COMMAND))]
    assert answer == pb.ExecuteResponse(**IDS)


async def test_submit_may_name_another_user(services: Services) -> None:
    async with serving(services) as channel:
        request = pb.SubmitRequest(**BODY, execute_user="bob")
        answer = await stub(channel).Submit(request, metadata=AS_ALICE)
    assert services.asked == [(ALICE, SubmitCommand(**COMMAND, execute_user="bob"))]
    assert answer == pb.SubmitResponse(**IDS)


async def test_status(services: Services) -> None:
    async with serving(services) as channel:
        request = pb.StatusRequest(id="x", task_id=9)
        answer = await stub(channel).Status(request, metadata=AS_ALICE)
    assert services.asked == [(ALICE, "x", 9)]
    assert answer == pb.StatusResponse(status=pb.JOB_STATUS_RUNNING, **IDS)


async def test_progress(services: Services) -> None:
    async with serving(services) as channel:
        answer = await stub(channel).Progress(pb.ProgressRequest(id="x"), metadata=AS_ALICE)
    assert services.asked == [(ALICE, "x")]
    assert answer == pb.ProgressResponse(progress=0.5, **IDS)


async def test_progress_with_resource_has_none_while_nothing_was_measured(
    services: Services,
) -> None:
    async with serving(services) as channel:
        request = pb.ProgressWithResourceRequest(id="x")
        answer = await stub(channel).ProgressWithResource(request, metadata=AS_ALICE)
    assert answer == pb.ProgressWithResourceResponse(progress=0.5, **IDS)
    assert not answer.HasField("yarn_metrics")


@pytest.mark.parametrize(
    ("request_message", "asked"),
    [
        (pb.LogRequest(id="x"), ("x", 0, None, True)),
        (
            pb.LogRequest(id="x", from_line=-4, size=0, distinct_level=False),
            ("x", -4, 0, False),
        ),
        (
            pb.LogRequest(id="x", from_line=2**40, size=-1, distinct_level=True),
            ("x", 2**40, -1, True),
        ),
    ],
    ids=["unset", "zero", "set"],
)
async def test_log_tells_what_is_unset_from_what_is_zero(
    services: Services, request_message: pb.LogRequest, asked: tuple[Any, ...]
) -> None:
    async with serving(services) as channel:
        answer = await stub(channel).Log(request_message, metadata=AS_ALICE)
    assert services.asked == [(ALICE, *asked)]
    assert answer == pb.LogResponse(from_line=3, log=["", "", "a", "a\nb"], **IDS)


async def test_kill(services: Services) -> None:
    async with serving(services) as channel:
        answer = await stub(channel).Kill(pb.KillRequest(id="x", task_id=9), metadata=AS_ALICE)
    assert services.asked == [(ALICE, "x", 9)]
    assert answer == pb.KillResponse(**IDS)


async def test_kill_jobs_answers_for_each_job_in_order(services: Services) -> None:
    services.outcomes = [
        KillOutcome("x", JOB, None),
        KillOutcome("y", JOB, errors.WrongState("ended")),
        KillOutcome("z", None, errors.NotFound("none")),
    ]
    request = pb.KillJobsRequest(id="#id", id_list=["x", "y", "z"], task_id_list=[1, 2, 3])
    async with serving(services) as channel:
        answer = await stub(channel).KillJobs(request, metadata=AS_ALICE)
    assert services.asked == [(ALICE, ["x", "y", "z"], [1, 2, 3])]
    told = [(m.id, m.exec_id, m.task_id, m.status.code, m.status.message) for m in answer.messages]
    assert told == [
        ("x", JOB.exec_id, 7, grpc.StatusCode.OK.value[0], ""),
        ("y", JOB.exec_id, 7, grpc.StatusCode.FAILED_PRECONDITION.value[0], "ended"),
        ("z", "", 0, grpc.StatusCode.NOT_FOUND.value[0], "none"),
    ]


async def test_pause_and_resume(services: Services) -> None:
    async with serving(services) as channel:
        paused = await stub(channel).Pause(pb.PauseRequest(id="x"), metadata=AS_ALICE)
        resumed = await stub(channel).Resume(pb.ResumeRequest(id="y"), metadata=AS_ALICE)
    assert services.asked == [(ALICE, "x"), (ALICE, "y")]
    assert paused == pb.PauseResponse(**IDS)
    assert resumed == pb.ResumeResponse(**IDS)


async def test_stream_log_ends_with_how_the_job_ended(services: Services) -> None:
    ended = replace(JOB, status=JobStatus.FAILED)
    services.batches = [
        LogBatch([LogChunk(5, 2, LogLevel.ERROR, "é\nb\n".encode())], 7),
        LogBatch([], 9, final=ended),
    ]
    request = pb.StreamLogRequest(id="x", from_line=5, levels=[pb.LOG_LEVEL_ERROR])
    async with serving(services) as channel:
        answers = [a async for a in stub(channel).StreamLog(request, metadata=AS_ALICE)]
    assert services.asked == [(ALICE, "x", 5, frozenset({LogLevel.ERROR}))]
    chunk = pb.LogChunk(from_line=5, line_count=2, level=pb.LOG_LEVEL_ERROR, text="é\nb\n")
    assert answers == [
        pb.StreamLogResponse(chunks=[chunk], next_line=7),
        pb.StreamLogResponse(next_line=9, status=pb.JOB_STATUS_FAILED),
    ]


async def test_stream_progress(services: Services) -> None:
    request = pb.StreamProgressRequest(id="x")
    async with serving(services) as channel:
        answers = [a async for a in stub(channel).StreamProgress(request, metadata=AS_ALICE)]
    assert services.asked == [(ALICE, "x")]
    assert answers == [pb.StreamProgressResponse(progress=0.5, status=pb.JOB_STATUS_RUNNING, **IDS)]


async def test_watch_and_get_tell_everything_about_a_job_and_a_list_less(
    services: Services,
) -> None:
    async with serving(services) as channel:
        request = pb.WatchJobRequest(id="x")
        watched = [a async for a in stub(channel).WatchJob(request, metadata=AS_ALICE)]
        got = await stub(channel).GetJob(pb.GetJobRequest(id="x"), metadata=AS_ALICE)
        listed = await stub(channel).ListJobs(pb.ListJobsRequest(), metadata=AS_ALICE)
    assert [answer.job for answer in watched] == [got.job]
    assert got.job.code == "SELECT 1"
    assert listed.jobs[0].code == ""
    assert listed.jobs[0].exec_id == got.job.exec_id


async def test_list_jobs_passes_every_filter(services: Services) -> None:
    request = pb.ListJobsRequest(
        page_size=-1,
        page_token="t",
        statuses=[pb.JOB_STATUS_FAILED, pb.JOB_STATUS_RUNNING],
        execute_user="alice",
        creator="IDE",
        engine_type="duckdb",
        create_time_from=Timestamp(seconds=0),
        create_time_to=Timestamp(seconds=86_400, nanos=5_000),
    )
    async with serving(services) as channel:
        answer = await stub(channel).ListJobs(request, metadata=AS_ALICE)
    where = JobFilter(
        frozenset({JobStatus.FAILED, JobStatus.RUNNING}),
        "alice",
        "IDE",
        "duckdb",
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 2, 0, 0, 0, 5, tzinfo=UTC),
    )
    assert services.asked == [(ALICE, where, -1, "t")]
    assert answer.next_page_token == "next"


async def test_list_jobs_without_filters_sets_none(services: Services) -> None:
    async with serving(services) as channel:
        await stub(channel).ListJobs(pb.ListJobsRequest(), metadata=AS_ALICE)
    assert services.asked == [(ALICE, JobFilter(), 0, "")]


async def test_results_are_listed_read_and_streamed(services: Services) -> None:
    services.pieces = [(TABLE, b"ab"), (None, b"cd")]
    page = {"page_size": 5, "page_token": "t"}
    async with serving(services) as channel:
        listed = await stub(channel).ListResults(
            pb.ListResultsRequest(id="x", page_size=5, page_token="t"), metadata=AS_ALICE
        )
        read = await stub(channel).ReadResult(
            pb.ReadResultRequest(id="x", index=2, page_size=5, page_token="t"), metadata=AS_ALICE
        )
        request = pb.StreamResultRequest(id="x", index=2, offset=11)
        streamed = [a async for a in stub(channel).StreamResult(request, metadata=AS_ALICE)]
    assert services.asked == [
        (ALICE, "x", *page.values()),
        (ALICE, "x", 2, *page.values()),
        (ALICE, "x", 2, 11),
    ]
    table = pb.ResultSet(
        type=pb.RESULT_TYPE_TABLE, media_type="application/vnd.apache.arrow.stream"
    )
    assert listed == pb.ListResultsResponse(result_sets=[table], next_page_token="next")
    assert read == pb.ReadResultResponse(
        result_set=table,
        rows=[pb.Row(cells=[pb.Cell(text="1"), pb.Cell()])],
        next_page_token="next",
    )
    assert streamed == [
        pb.StreamResultResponse(result_set=table, data=b"ab"),
        pb.StreamResultResponse(data=b"cd"),
    ]


async def test_engines_are_listed(services: Services) -> None:
    async with serving(services) as channel:
        answer = await stub(channel).ListEngines(pb.ListEnginesRequest(), metadata=AS_ALICE)
    assert answer == pb.ListEnginesResponse(
        engines=[
            pb.Engine(
                engine_type="duckdb",
                version="1.5",
                run_types=["sql"],
                description="SQL in the process.",
            )
        ]
    )


async def test_a_call_without_a_deadline_gets_one(services: Services) -> None:
    services.gate = asyncio.Event()
    async with serving(services, limits=Limits(default_deadline=0.05)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE)
        assert services.released.is_set()
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "0.05 s" in (raised.value.details() or "")


async def test_a_call_with_a_deadline_keeps_it(services: Services) -> None:
    services.gate = asyncio.Event()
    async with serving(services, limits=Limits(default_deadline=0.05)) as channel:
        short = stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE)
        long = stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE, timeout=60)
        assert await short.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        services.gate.set()
        assert (await long).task_id == JOB.task_id


async def test_a_call_is_given_up_when_its_deadline_passes(services: Services) -> None:
    services.gate = asyncio.Event()
    async with serving(services) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE, timeout=0.05)
        await services.released.wait()
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_call_that_its_caller_cancels_is_given_up(services: Services) -> None:
    services.gate = asyncio.Event()
    async with serving(services) as channel:
        call = stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE)
        waiting = asyncio.ensure_future(call)
        await services.started.wait()
        call.cancel()
        await services.released.wait()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_an_observer_is_told_how_each_call_ended(services: Services) -> None:
    seen: list[tuple[str, str, grpc.StatusCode]] = []
    done = asyncio.Event()

    def observe(method: Method, *, user: str, code: grpc.StatusCode, seconds: float) -> None:
        assert seconds >= 0
        seen.append((method.name.rsplit("/", 1)[1], user, code))
        done.set()

    async with serving(services, observers=[observe]) as channel:
        await stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE)
        services.error = errors.NotFound("none")
        for metadata in (AS_ALICE, ()):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub(channel).Kill(pb.KillRequest(), metadata=metadata)
        services.gate = asyncio.Event()
        stream = stub(channel).WatchJob(pb.WatchJobRequest(), metadata=AS_ALICE)
        await stream.read()
        done.clear()
        stream.cancel()
        await done.wait()
    assert seen == [
        ("Status", "alice", grpc.StatusCode.OK),
        ("Kill", "alice", grpc.StatusCode.NOT_FOUND),
        ("Kill", "", grpc.StatusCode.UNAUTHENTICATED),
        ("WatchJob", "alice", grpc.StatusCode.CANCELLED),
    ]


async def test_the_log_has_a_debug_line_for_each_call(services: Services) -> None:
    with capture_logs() as lines:
        async with serving(services) as channel:
            await stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE)
    [line] = lines
    assert line.pop("seconds") >= 0
    assert line == {
        "event": "call",
        "log_level": "debug",
        "method": "/entrance.v1.EntranceService/Status",
        "user": "alice",
        "code": "OK",
    }
