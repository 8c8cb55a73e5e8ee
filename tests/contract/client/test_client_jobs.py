"""Submitting, asking about and controlling jobs; every test runs with both clients."""

from __future__ import annotations

import asyncio

import pytest
from google.rpc import code_pb2

from entrance.client import (
    AlreadyExists,
    AsyncClient,
    DeadlineExceeded,
    EntranceError,
    InvalidArgument,
    JobFailed,
    JobStatus,
    NotFound,
    Unauthenticated,
    Unavailable,
    WrongState,
)
from entrance.v1 import entrance_pb2 as pb
from tests.contract.client.fake_service import FakeService, error, unavailable


async def test_submit_answers_with_both_ids(client: AsyncClient) -> None:
    job = await client.submit("info hello", engine="duckdb")

    assert job.task_id == 1
    assert job.exec_id.startswith("exec_id")


async def test_a_submit_carries_all_that_it_was_given(
    client: AsyncClient, service: FakeService
) -> None:
    await client.submit(
        "info hello",
        engine="python",
        run_type="py",
        creator="etl",
        variables={"day": "20130101"},
        params={"limit": "10"},
        labels={"route": "a"},
        source={"scriptPath": "flights.py"},
        execute_user="bob",
        request_id="r1",
        priority=7,
    )

    request: pb.SubmitRequest = service.requests["Submit"]
    assert request.execution_content.run_type == "py"
    assert request.labels == {"engineType": "python", "creator": "etl", "route": "a"}
    assert request.params.variable == {"day": "20130101"}
    assert request.params.configuration.runtime == {"limit": "10"}
    assert request.source == {"scriptPath": "flights.py"}
    assert (request.execute_user, request.request_id, request.priority) == ("bob", "r1", 7)


async def test_without_a_run_type_the_engines_first_one_is_taken_and_asked_for_once(
    client: AsyncClient, service: FakeService
) -> None:
    await client.submit("info 1", engine="python")
    await client.submit("info 2", engine="python-3.14")

    assert service.requests["Submit"].execution_content.run_type == "python"
    assert service.calls["ListEngines"] == 1


async def test_an_unknown_engine_without_a_run_type_is_told_with_those_there_are(
    client: AsyncClient,
) -> None:
    with pytest.raises(InvalidArgument, match=r"'cobol'.*duckdb, python, shell") as caught:
        await client.submit("info", engine="cobol")

    assert caught.value.violations[0].field == "labels.engineType"


async def test_a_submit_whose_answer_was_lost_makes_one_job(
    client: AsyncClient, service: FakeService
) -> None:
    service.break_next("Submit")

    job = await client.submit("info once", engine="duckdb")

    assert service.calls["Submit"] == 2
    assert [known.task_id async for known in client.list_jobs()] == [job.task_id]


async def test_a_kill_whose_answer_was_lost_is_not_sent_again(
    client: AsyncClient, service: FakeService
) -> None:
    job = await client.submit("hang", engine="shell")
    service.break_next("Kill")

    with pytest.raises(Unavailable):
        await job.kill()

    assert service.calls["Kill"] == 1


async def test_a_call_is_given_up_after_a_bounded_number_of_tries(
    client: AsyncClient, service: FakeService
) -> None:
    job = await client.submit("hang", engine="shell")
    for _ in range(10):
        service.break_next("Status")

    with pytest.raises(Unavailable, match="the connection broke"):
        await job.status()

    assert service.calls["Status"] == 4


async def test_an_error_tells_reason_number_and_wrong_fields(client: AsyncClient) -> None:
    with pytest.raises(InvalidArgument, match="code is blank") as caught:
        await client.submit(" ", engine="duckdb", run_type="sql")

    assert caught.value.reason == "CODE_BLANK"
    assert caught.value.err_code == 20007
    assert [(v.field, v.description) for v in caught.value.violations] == [
        ("executionContent.code", "must not be blank")
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (code_pb2.ALREADY_EXISTS, AlreadyExists),
        (code_pb2.DEADLINE_EXCEEDED, DeadlineExceeded),
        (code_pb2.INTERNAL, EntranceError),
    ],
)
async def test_a_code_has_its_exception(
    client: AsyncClient, service: FakeService, code: int, expected: type[EntranceError]
) -> None:
    job = await client.submit("hang", engine="shell")
    service.break_next("Status", error=error(code, "it is so"))

    with pytest.raises(EntranceError, match="it is so") as caught:
        await job.status()

    assert type(caught.value) is expected


async def test_a_wrong_token_is_refused(target: str) -> None:
    async with AsyncClient(target, token="guessed") as client:
        with pytest.raises(Unauthenticated):
            await client.engines()


async def test_a_handle_is_found_by_either_id(client: AsyncClient) -> None:
    submitted = await client.submit("info hello", engine="duckdb")

    by_number = await client.job(submitted.task_id)
    by_name = await client.job(submitted.exec_id)

    assert by_number.exec_id == by_name.exec_id == submitted.exec_id


async def test_an_unknown_id_is_not_found(client: AsyncClient) -> None:
    with pytest.raises(NotFound, match="'99'"):
        await client.job(99)


async def test_a_job_tells_what_was_asked_and_how_it_ended(client: AsyncClient) -> None:
    handle = await client.submit("fail no such table", engine="duckdb", variables={"a": "b"})

    job = await handle.get()

    assert (job.status, job.engine_type, job.run_type) == (JobStatus.FAILED, "duckdb", "sql")
    assert job.params is not None
    assert job.params.variable == {"a": "b"}
    assert job.error is not None
    assert job.error.message == "no such table"
    assert job.end_time is not None
    assert job.end_time.utcoffset() is not None


async def test_lists_go_over_all_pages_newest_first(client: AsyncClient) -> None:
    for _ in range(5):
        await client.submit("info hello", engine="duckdb")

    assert [job.task_id async for job in client.list_jobs(page_size=2)] == [5, 4, 3, 2, 1]


async def test_lists_hold_to_the_status(client: AsyncClient) -> None:
    await client.submit("fail it", engine="duckdb")
    await client.submit("info hello", engine="duckdb")

    found = [job.task_id async for job in client.list_jobs(statuses=[JobStatus.FAILED])]

    assert found == [1]


async def test_wait_returns_the_ended_job(client: AsyncClient, service: FakeService) -> None:
    handle = await client.submit("hang", engine="shell")
    waiting = asyncio.create_task(_wait(handle))

    service.end(handle.task_id, pb.JOB_STATUS_SUCCEED)

    assert await waiting is JobStatus.SUCCEED


async def _wait(handle: object) -> JobStatus:
    job = await handle.wait()  # type: ignore[attr-defined]
    status: JobStatus = job.status
    return status


async def test_wait_outlives_a_broken_connection(client: AsyncClient, service: FakeService) -> None:
    handle = await client.submit("info hello", engine="shell")
    service.break_next("WatchJob")
    service.break_next("WatchJob", error=unavailable())

    assert (await handle.wait()).status is JobStatus.SUCCEED


async def test_a_wait_that_takes_too_long_says_where_the_job_is(client: AsyncClient) -> None:
    handle = await client.submit("hang", engine="shell")

    with pytest.raises(DeadlineExceeded, match=r"job 1 is still Running after 0.2 seconds"):
        await handle.wait(timeout=0.2)


async def test_wait_with_check_raises_for_a_job_that_failed(client: AsyncClient) -> None:
    handle = await client.submit("fail no such table", engine="duckdb")

    with pytest.raises(JobFailed, match="job 1 ended as Failed: no such table") as caught:
        await handle.wait(check=True)

    assert caught.value.job.status is JobStatus.FAILED


async def test_pause_and_resume_show_in_the_job(client: AsyncClient) -> None:
    handle = await client.submit("hang", engine="shell")

    await handle.pause()
    paused = (await handle.get()).paused
    await handle.resume()

    assert (paused, (await handle.get()).paused) == (True, False)


async def test_a_killed_job_is_cancelled_and_a_second_kill_is_refused(client: AsyncClient) -> None:
    handle = await client.submit("hang", engine="shell")

    await handle.kill()

    assert await handle.status() is JobStatus.CANCELLED
    with pytest.raises(WrongState, match="ended already"):
        await handle.kill()


async def test_kill_jobs_tells_of_each_in_order(client: AsyncClient) -> None:
    ended = await client.submit("info hello", engine="shell")
    running = await client.submit("hang", engine="shell")

    outcomes = await client.kill_jobs([ended.task_id, running.exec_id, 99])

    assert [outcome.id for outcome in outcomes] == ["1", running.exec_id, "99"]
    assert [type(outcome.error) for outcome in outcomes] == [WrongState, type(None), NotFound]


async def test_engines_tell_their_run_types(client: AsyncClient) -> None:
    engines = await client.engines()

    assert {engine.engine_type: engine.run_types for engine in engines}["python"] == (
        "python",
        "py",
    )
