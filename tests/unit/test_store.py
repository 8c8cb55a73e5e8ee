"""What every store does, whatever its database: the port's promises."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from entrance_server.domain import errors
from entrance_server.domain.job import (
    Column,
    GroupKey,
    Job,
    JobError,
    JobParams,
    ProgressInfo,
    ResultSet,
    ResultType,
    SessionRecord,
)
from entrance_server.domain.notes import Note
from entrance_server.domain.status import ACTIVE, FINAL, JobStatus, may_follow
from entrance_server.domain.users import Token
from entrance_server.store import SqlStore
from entrance_server.store.port import JobFilter, Store, StoreUnavailable, TransitionRefused
from tests.unit.specs import spec

INSTANCE = "here:9104"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)

# The steps by which a new job comes to a state.
WAYS: dict[JobStatus, tuple[JobStatus, ...]] = {
    JobStatus.INITED: (),
    JobStatus.SCHEDULED: (JobStatus.SCHEDULED,),
    JobStatus.WAIT_FOR_RETRY: (JobStatus.SCHEDULED, JobStatus.WAIT_FOR_RETRY),
    JobStatus.RUNNING: (JobStatus.SCHEDULED, JobStatus.RUNNING),
    **{status: (JobStatus.SCHEDULED, JobStatus.RUNNING, status) for status in FINAL},
}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(url: str, clock: Clock) -> AsyncIterator[Store]:
    async with SqlStore(url, clock=clock) as opened:
        yield opened


async def create(store: Store, status: JobStatus = JobStatus.INITED, **changes: Any) -> Job:
    job, _ = await store.create_job(spec(**changes), instance=INSTANCE)
    for step in WAYS[status]:
        job = await store.transition(job.task_id, step, expect=ACTIVE)
    return job


def table(index: int, **changes: Any) -> ResultSet:
    made = ResultSet(index, ResultType.TABLE, "application/vnd.apache.arrow.stream", "0.parquet")
    return dataclasses.replace(made, **changes)


ASKED = spec(
    execute_user="bob",
    code="SELECT 'ü\u2028\n'",
    prepared_code="SELECT 'ü\u2028\n' LIMIT 5000",
    notes=(Note("WARN", "ü"), Note("INFO", "two")),
    params=JobParams({"a": "1"}, {"b": "2"}, {"c": "3"}, {"d": '"'}),
    labels={"engineType": "duckdb"},
    source={"scriptPath": "a.sql"},
    priority=-7,
    request_id="r",
)


async def test_a_job_is_read_as_it_was_created(store: Store) -> None:
    job, is_new = await store.create_job(ASKED, instance=INSTANCE)
    assert is_new
    assert job == Job(1, ASKED, INSTANCE, JobStatus.INITED, START, START, owner=INSTANCE)
    assert await store.get_job(job.task_id) == job


async def test_so_is_each_of_many_that_were_created_at_once(store: Store) -> None:
    asked = [dataclasses.replace(ASKED, code=str(n), request_id=str(n)) for n in range(100)]
    made = await asyncio.gather(*(store.create_job(one, instance=INSTANCE) for one in asked))
    jobs = [job for job, _ in made]
    assert [job.spec for job in jobs] == asked
    assert [await store.get_job(job.task_id) for job in jobs] == jobs


async def test_a_number_that_names_no_job_gives_none(store: Store) -> None:
    assert await store.get_job(1) is None
    assert await store.get_job(2**63 - 1) is None


async def test_concurrent_jobs_get_distinct_numbers(store: Store) -> None:
    made = await asyncio.gather(*(create(store) for _ in range(200)))
    assert sorted(job.task_id for job in made) == list(range(1, 201))


async def test_jobs_and_numbers_go_on_after_a_restart(url: str) -> None:
    async with SqlStore(url) as first:
        job = await create(first)
    async with SqlStore(url) as second:
        assert await second.get_job(job.task_id) == job
        assert (await create(second)).task_id == job.task_id + 1


async def test_a_closed_store_is_unavailable(url: str) -> None:
    store = SqlStore(url)
    with pytest.raises(StoreUnavailable):
        await store.get_job(1)
    async with store:
        await create(store)
    with pytest.raises(StoreUnavailable):
        await create(store)
    await store.close()


async def test_close_finishes_the_writes_that_were_begun(url: str) -> None:
    store = SqlStore(url)
    await store.open()
    writes = [asyncio.create_task(create(store)) for _ in range(50)]
    await asyncio.sleep(0)  # each has handed over its write
    await store.close()
    assert len({job.task_id for job in await asyncio.gather(*writes)}) == 50


async def test_a_cancelled_caller_does_not_undo_a_write(url: str) -> None:
    async with SqlStore(url) as store:
        write = asyncio.create_task(create(store))
        await asyncio.sleep(0)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        await create(store)  # in the same order
        assert await store.get_job(1) is not None


async def test_more_writers_than_the_queue_holds_wait_for_room(url: str) -> None:
    async with SqlStore(url, max_waiting_writes=2) as store:
        made = await asyncio.gather(*(create(store) for _ in range(20)))
    assert len({job.task_id for job in made}) == 20


async def test_the_same_request_gives_the_same_job(store: Store) -> None:
    job, _ = await store.create_job(spec(request_id="r"), instance=INSTANCE)
    assert await store.create_job(spec(request_id="r"), instance="other:1") == (job, False)


async def test_what_the_service_puts_in_makes_no_other_request(store: Store) -> None:
    first = spec(request_id="r", source={"requestIP": "10.0.0.1"}, prepared_code="a")
    again = spec(request_id="r", source={"requestIP": "10.0.0.2"}, prepared_code="b")
    job, _ = await store.create_job(first, instance=INSTANCE)
    assert await store.create_job(again, instance=INSTANCE) == (job, False)


@pytest.mark.parametrize(
    "change",
    [
        {"code": "SELECT 2"},
        {"priority": 1},
        {"labels": {"x": "y"}},
        {"params": JobParams({"a": "1"})},
        {"source": {"scriptPath": "a.sql"}},
        {"execute_user": "bob"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_the_same_request_id_with_another_body_is_refused(
    store: Store, change: dict[str, Any]
) -> None:
    await create(store, request_id="r")
    with pytest.raises(errors.RequestIdReused, match="'r' was used by job 1"):
        await create(store, request_id="r", **change)


async def test_a_request_that_made_a_job_is_found(store: Store) -> None:
    job = await create(store, request_id="r")
    assert await store.find_request(spec(request_id="r")) == job
    assert await store.find_request(spec(request_id="other")) is None
    with pytest.raises(errors.RequestIdReused):
        await store.find_request(spec(request_id="r", code="SELECT 2"))


async def test_a_request_id_is_of_one_user(store: Store) -> None:
    first = await create(store, request_id="r")
    assert (await create(store, request_id="r", submit_user="bob")).task_id != first.task_id


async def test_concurrent_calls_of_one_request_make_one_job(store: Store) -> None:
    answers = await asyncio.gather(
        *(store.create_job(spec(request_id="r"), instance=INSTANCE) for _ in range(20))
    )
    assert len({job.task_id for job, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1


@pytest.mark.parametrize("status", JobStatus)
async def test_only_steps_of_the_life_cycle_are_taken(store: Store, status: JobStatus) -> None:
    for to in JobStatus:
        job = await create(store, status)
        if may_follow(status, to):
            assert (await store.transition(job.task_id, to, expect={status})).status is to
        else:
            with pytest.raises(TransitionRefused) as refused:
                await store.transition(job.task_id, to, expect=set(JobStatus))
            assert refused.value.job == job
            assert await store.get_job(job.task_id) == job


async def test_a_step_from_a_state_that_is_not_expected_is_refused(store: Store) -> None:
    job = await create(store)
    with pytest.raises(TransitionRefused):
        await store.transition(job.task_id, JobStatus.CANCELLED, expect={JobStatus.RUNNING})
    assert await store.get_job(job.task_id) == job


async def test_of_two_steps_at_once_exactly_one_wins(store: Store) -> None:
    for _ in range(10):
        job = await create(store, JobStatus.RUNNING)
        ends = [JobStatus.SUCCEED, JobStatus.CANCELLED]
        won = await asyncio.gather(
            *(store.transition(job.task_id, end, expect=ACTIVE) for end in ends),
            return_exceptions=True,
        )
        winners = [outcome for outcome in won if isinstance(outcome, Job)]
        assert len(winners) == 1
        assert await store.get_job(job.task_id) == winners[0]


async def test_a_step_sets_the_times_that_belong_to_it(store: Store, clock: Clock) -> None:
    job = await create(store)
    assert job.schedule_time is None
    scheduled = clock.advance(1)
    job = await store.transition(job.task_id, JobStatus.SCHEDULED, expect={JobStatus.INITED})
    assert (job.schedule_time, job.start_time, job.end_time) == (scheduled, None, None)
    started = clock.advance(1)
    job = await store.transition(job.task_id, JobStatus.RUNNING, expect={JobStatus.SCHEDULED})
    assert (job.start_time, job.end_time, job.update_time) == (started, None, started)
    ended = clock.advance(0.000001)
    job = await store.transition(job.task_id, JobStatus.SUCCEED, expect={JobStatus.RUNNING})
    assert (job.start_time, job.end_time, job.update_time) == (started, ended, ended)
    assert job.create_time == START


async def test_a_job_whose_session_is_there_runs_in_one_step(store: Store, clock: Clock) -> None:
    job = await create(store)
    begun = clock.advance(1)
    running, is_room = await store.schedule(job, at_most=9, session_id="a")
    assert (running.status, running.session_id, is_room) == (JobStatus.RUNNING, "a", True)
    assert (running.schedule_time, running.start_time) == (begun, begun)
    with pytest.raises(TransitionRefused):
        await store.schedule(job, at_most=9, session_id="b")


async def test_such_a_step_is_not_earlier_than_the_job_either(store: Store, clock: Clock) -> None:
    job = await create(store)
    clock.advance(-60)
    running, _ = await store.schedule(job, at_most=9, session_id="a")
    assert job.create_time == running.schedule_time == running.start_time == START


async def test_no_step_is_earlier_than_the_one_before(store: Store, clock: Clock) -> None:
    job = await create(store)
    for step in (JobStatus.SCHEDULED, JobStatus.RUNNING, JobStatus.SUCCEED):
        clock.advance(-60)
        job = await store.transition(job.task_id, step, expect=ACTIVE)
    assert job.create_time == job.schedule_time == job.start_time == job.end_time == START


async def test_a_session_is_reused_when_another_job_has_run_in_it(store: Store) -> None:
    async def started(job: Job, session_id: str) -> bool | None:
        assert job.session_reused is None
        running = await store.transition(
            job.task_id, JobStatus.RUNNING, expect=ACTIVE, session_id=session_id
        )
        return running.session_reused

    first, second, third = [await create(store, JobStatus.SCHEDULED) for _ in range(3)]
    assert await started(first, "a") is False
    assert await started(second, "a") is True
    assert await started(third, "b") is False
    ended = await store.transition(second.task_id, JobStatus.SUCCEED, expect=ACTIVE)
    assert ended.session_reused is True


async def test_a_step_changes_what_it_names_and_keeps_the_rest(store: Store) -> None:
    job = await create(store, JobStatus.SCHEDULED)
    parts = (ProgressInfo("1", 1, 0, 1, 2),)
    job = await store.transition(
        job.task_id,
        JobStatus.RUNNING,
        expect=ACTIVE,
        session_id="s",
        progress=0.5,
        attempt=2,
        progress_info=parts,
    )
    job = await store.transition(job.task_id, JobStatus.WAIT_FOR_RETRY, expect=ACTIVE)
    assert (job.session_id, job.progress, job.attempt) == ("s", 0.5, 2)
    assert job.progress_info == parts


async def test_the_next_try_clears_the_error(store: Store) -> None:
    job = await create(store, JobStatus.RUNNING)
    error = JobError(20052, "no room")
    job = await store.transition(job.task_id, JobStatus.WAIT_FOR_RETRY, expect=ACTIVE, error=error)
    assert job.error == error
    job = await store.transition(job.task_id, JobStatus.SCHEDULED, expect=ACTIVE)
    assert job.error is None


async def test_the_end_clears_the_pause(store: Store) -> None:
    job = await create(store, JobStatus.RUNNING)
    assert (await store.set_paused(job.task_id, True)).paused
    job = await store.transition(job.task_id, JobStatus.CANCELLED, expect=ACTIVE)
    assert not job.paused


async def test_a_pause_survives_a_step(store: Store) -> None:
    job = await create(store)
    await store.set_paused(job.task_id, True)
    assert (await store.transition(job.task_id, JobStatus.SCHEDULED, expect=ACTIVE)).paused
    assert not (await store.set_paused(job.task_id, False)).paused


async def test_a_job_tells_since_when_and_for_how_long_it_was_paused(
    store: Store, clock: Clock
) -> None:
    task_id = (await create(store)).task_id
    begin = clock.advance(1)
    await store.set_paused(task_id, True)
    clock.advance(5)
    held = await store.set_paused(task_id, True)
    assert (held.pause_time, held.paused_for) == (begin, timedelta())
    clock.advance(5)
    released = await store.set_paused(task_id, False)
    assert (released.pause_time, released.paused_for) == (None, timedelta(seconds=10))
    clock.advance(5)
    await store.set_paused(task_id, True)
    clock.advance(2)
    again = await store.set_paused(task_id, False)
    assert again.paused_for == timedelta(seconds=12)


@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.WAIT_FOR_RETRY])
async def test_pauses_are_counted_anew_from_a_run_and_from_a_wait_for_a_retry_on(
    store: Store, clock: Clock, status: JobStatus
) -> None:
    job = await create(store, JobStatus.SCHEDULED)
    await store.set_paused(job.task_id, True)
    clock.advance(10)
    await store.set_paused(job.task_id, False)
    job = await store.transition(job.task_id, status, expect=ACTIVE)
    assert job.paused_for == timedelta()


async def test_a_job_keeps_when_its_retry_is_due(store: Store) -> None:
    job = await create(store, JobStatus.RUNNING)
    due = START + timedelta(seconds=30)
    job = await store.transition(
        job.task_id, JobStatus.WAIT_FOR_RETRY, expect=ACTIVE, attempt=2, retry_time=due
    )
    assert (job.attempt, job.retry_time) == (2, due)
    job = await store.transition(job.task_id, JobStatus.SCHEDULED, expect=ACTIVE)
    assert job.retry_time == due


@pytest.mark.parametrize("status", sorted(FINAL))
async def test_a_job_that_has_ended_is_not_paused(store: Store, status: JobStatus) -> None:
    job = await create(store, status)
    with pytest.raises(TransitionRefused) as refused:
        await store.set_paused(job.task_id, True)
    assert refused.value.job == job


async def test_a_change_of_a_job_that_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(errors.NotFound):
        await store.transition(9, JobStatus.SCHEDULED, expect=ACTIVE)
    with pytest.raises(errors.NotFound):
        await store.set_paused(9, True)
    with pytest.raises(errors.NotFound):
        await store.add_result(9, table(0))
    with pytest.raises(errors.NotFound):
        await store.clear_results(9)


async def test_a_failed_change_leaves_those_beside_it_alone(store: Store) -> None:
    outcomes = await asyncio.gather(
        create(store),
        store.add_result(99, table(0)),
        create(store),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Job, errors.NotFound, Job]


async def test_a_request_that_is_there_leaves_those_beside_it_alone(store: Store) -> None:
    there, _ = await store.create_job(spec(request_id="r"), instance=INSTANCE)
    asked = [spec(), spec(request_id="r"), spec(request_id="s"), spec(request_id="s"), spec()]
    made = await asyncio.gather(*(store.create_job(one, instance=INSTANCE) for one in asked))
    assert [is_new for _, is_new in made] == [True, False, True, False, True]
    assert made[1][0] == there
    assert made[2][0] == made[3][0]
    assert len({job.task_id for job, _ in made}) == 4


async def test_jobs_are_listed_newest_first_in_pages(store: Store) -> None:
    for _ in range(5):
        await create(store)
    first = await store.list_jobs(JobFilter(), limit=3)
    assert [job.task_id for job in first] == [5, 4, 3]
    rest = await store.list_jobs(JobFilter(), limit=3, before_task_id=3)
    assert [job.task_id for job in rest] == [2, 1]
    rest = await store.list_jobs(JobFilter(), limit=3, offset=3)
    assert [job.task_id for job in rest] == [2, 1]
    assert await store.list_jobs(JobFilter(), limit=3, offset=2**40) == []


async def test_a_list_leaves_code_and_parameters_out(store: Store) -> None:
    job = await create(
        store,
        params=JobParams({"a": "1"}),
        prepared_code="SELECT 2",
        notes=(Note("INFO", "limited"),),
    )
    light = dataclasses.replace(job.spec, code="", params=JobParams(), prepared_code=None, notes=())
    listed = await store.list_jobs(JobFilter(), limit=1)
    assert listed == [dataclasses.replace(job, spec=light)]


async def test_every_filter_that_is_set_must_hold(store: Store, clock: Clock) -> None:
    await create(store, run_type="python")
    middle = clock.advance(10)
    await create(store, JobStatus.RUNNING, execute_user="bob", creator="BI", engine_type="shell")
    clock.advance(10)
    await create(store, JobStatus.FAILED, execute_user="bob")

    async def found(**where: Any) -> list[int]:
        jobs = await store.list_jobs(JobFilter(**where), limit=10)
        assert await store.count_jobs(JobFilter(**where)) == len(jobs)
        return [job.task_id for job in jobs]

    assert await found(execute_user="bob") == [3, 2]
    assert await found(creator="BI") == [2]
    assert await found(engine_type="duckdb") == [3, 1]
    assert await found(statuses=frozenset({JobStatus.INITED, JobStatus.FAILED})) == [3, 1]
    assert await found(create_time_from=middle) == [3, 2]
    assert await found(create_time_to=middle) == [1]
    assert await found(execute_user="bob", engine_type="duckdb", create_time_from=middle) == [3]
    assert await found(execute_user="nobody") == []
    assert await found() == [3, 2, 1]
    assert await found(statuses=ACTIVE) == [2, 1]
    assert await found(statuses=ACTIVE, execute_user="bob", create_time_from=middle) == [2]
    assert await found(statuses=ACTIVE, task_id_from=2, instance=INSTANCE) == [2]
    assert await found(statuses=frozenset({JobStatus.RUNNING}), run_type="python") == []
    assert await found(task_id=2) == [2]
    assert await found(task_id=2, execute_user="alice") == []
    assert await found(task_id_from=2) == [3, 2]
    assert await found(instance=INSTANCE) == [3, 2, 1]
    assert await found(instance="there:9104") == []
    assert await found(run_type="python") == [1]
    assert await found(session_id="none") == []


async def test_jobs_are_found_by_their_session(store: Store) -> None:
    jobs = [await create(store, JobStatus.SCHEDULED) for _ in range(3)]
    for job, session_id in zip(jobs, ("a", "b", "a"), strict=True):
        await store.transition(job.task_id, JobStatus.RUNNING, expect=ACTIVE, session_id=session_id)
    found = await store.list_jobs(JobFilter(session_id="a"), limit=10)
    assert [job.task_id for job in found] == [3, 1]


async def test_unfinished_jobs_are_those_that_have_not_ended(store: Store) -> None:
    made = [await create(store, status) for status in JobStatus]
    elsewhere, _ = await store.create_job(spec(), instance="there:9104")
    unfinished = [job for job in made if not job.status.is_final]
    assert await store.unfinished_jobs(INSTANCE) == unfinished
    assert await store.unfinished_jobs() == [*unfinished, elsewhere]


async def test_result_sets_are_listed_by_index_in_pages(store: Store) -> None:
    job = await create(store, JobStatus.RUNNING)
    sets = [
        table(0, row_count=2**40, size_bytes=2**41, columns=(Column("a", "decimal(5,2)", "x"),)),
        table(1, type=ResultType.HTML, media_type="text/html", statement=3),
        table(2),
    ]
    for result in reversed(sets):
        job = await store.add_result(job.task_id, result)
    assert job.result_count == 3
    assert await store.list_results(job.task_id, limit=2) == sets[:2]
    assert await store.list_results(job.task_id, limit=2, after_index=1) == sets[2:]
    assert await store.get_result(job.task_id, 1) == sets[1]
    assert await store.get_result(job.task_id, 3) is None
    assert await store.get_result(job.task_id + 1, 0) is None


async def test_a_result_set_that_comes_again_replaces_the_first(store: Store) -> None:
    job = await create(store, JobStatus.RUNNING)
    await store.add_result(job.task_id, table(0))
    job = await store.add_result(job.task_id, table(0, row_count=5))
    assert job.result_count == 1
    assert await store.get_result(job.task_id, 0) == table(0, row_count=5)


async def test_another_try_begins_without_result_sets(store: Store) -> None:
    job = await create(store, JobStatus.RUNNING)
    other = await create(store, JobStatus.RUNNING)
    await store.add_result(job.task_id, table(0))
    await store.add_result(other.task_id, table(0))
    assert (await store.clear_results(job.task_id)).result_count == 0
    assert await store.list_results(job.task_id, limit=10) == []
    assert await store.list_results(other.task_id, limit=10) == [table(0)]


async def test_sessions_are_kept_until_they_are_removed(store: Store) -> None:
    first = SessionRecord("a", GroupKey("alice", "IDE", "shell"), "unix:/a", 1, 1.25, START)
    second = SessionRecord(
        "b",
        GroupKey("bob", "BI", "duckdb"),
        "unix:/b",
        2,
        2.5,
        START - timedelta(seconds=1),
        options={"duckdb.threads": "1"},
        only_for=7,
        owner="here:9104",
        host="machine",
        directory="/data/sessions/b",
    )
    await store.put_session(first)
    await store.put_session(second)
    assert await store.list_sessions() == [second, first]
    moved = dataclasses.replace(first, pid=3)
    await store.put_session(moved)
    await store.remove_session("b")
    await store.remove_session("b")
    assert await store.list_sessions() == [moved]


async def test_an_instance_is_online_until_it_is_taken_offline(store: Store) -> None:
    assert await store.is_online(INSTANCE)
    await store.set_online(INSTANCE, False)
    await store.set_online(INSTANCE, False)
    assert not await store.is_online(INSTANCE)
    assert await store.is_online("there:9104")
    await store.set_online(INSTANCE, True)
    await store.set_online(INSTANCE, True)
    assert await store.is_online(INSTANCE)


async def test_a_token_is_found_by_the_hash_of_its_secret(store: Store) -> None:
    token = Token("t", "alice", True, b"\x00\xff", START)
    await store.put_token(token)
    assert await store.find_token(b"\x00\xff") == token
    assert await store.find_token(b"\x00") is None
    renewed = dataclasses.replace(token, secret_hash=b"new", is_admin=False)
    await store.put_token(renewed)
    assert await store.find_token(b"\x00\xff") is None
    assert await store.list_tokens(limit=10) == [renewed]
