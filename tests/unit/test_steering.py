"""Who steers a job leaves its log in the order of what happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from entrance_server.domain.errors import Unavailable, WrongState
from entrance_server.domain.status import JobStatus
from entrance_server.engines.failures import SessionLost, SessionRefused
from entrance_server.engines.session import EngineSession
from entrance_server.logs import LogStore
from entrance_server.service.job_log import JobLog
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJob, LiveJobs
from entrance_server.service.runs import ActiveRuns, killed
from entrance_server.service.steering import Steering
from entrance_server.store import SqlStore
from tests.unit.slow_log import MAX_BYTES, SlowLog
from tests.unit.specs import spec


class DeafSession:
    """A session whose engine does not take the first pause."""

    def __init__(self) -> None:
        self.pauses = 0

    async def pause(self, run_id: str) -> None:
        self.pauses += 1
        if self.pauses == 1:
            raise SessionLost("no answer")


class LateSession:
    """A session that takes an interrupt when it has the run of the next job already."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.has_next = asyncio.Event()
        self.killed = False

    async def interrupt(self, run_id: str, *, grace: float) -> None:
        self.asked.set()
        await self.has_next.wait()
        raise SessionRefused(f"this session has no run {run_id!r}")

    def kill(self) -> None:
        self.killed = True


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with SqlStore(f"sqlite:///{tmp_path / 'entrance.db'}") as store:
        yield store


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    async with LogStore(tmp_path / "jobs") as logs:
        yield logs


@pytest.fixture
async def live(store: SqlStore) -> LiveJob:
    """A job that runs."""
    job, _ = await store.create_job(spec(), instance="here:9104")
    for status in (JobStatus.SCHEDULED, JobStatus.RUNNING):
        job = await store.transition(job.task_id, status, expect={job.status})
    return LiveJob(job)


def steering_of(store: SqlStore, logs: LogStore, runs: ActiveRuns, job_log: JobLog) -> Steering:
    jobs = Jobs(store=store, live=LiveJobs(), logs=logs)
    return Steering(jobs=jobs, store=store, job_log=job_log, runs=runs, kill_grace=1)


async def test_a_pause_that_the_engine_did_not_take_is_made_when_it_is_asked_for_again(
    store: SqlStore, logs: LogStore, live: LiveJob
) -> None:
    runs, session = ActiveRuns(), DeafSession()
    steering = steering_of(store, logs, runs, JobLog(logs, max_bytes=MAX_BYTES))
    with runs.begun(live) as run:
        run.session = cast(EngineSession, session)
        with pytest.raises(Unavailable):
            await steering.set_paused(live, True)
        await steering.set_paused(live, True)
    assert session.pauses == 2


async def test_a_job_that_is_being_ended_can_not_be_paused(
    store: SqlStore, logs: LogStore, live: LiveJob
) -> None:
    runs = ActiveRuns()
    steering = steering_of(store, logs, runs, JobLog(logs, max_bytes=MAX_BYTES))
    with runs.begun(live) as run:
        run.stop = killed("alice")
        with pytest.raises(WrongState, match="is being ended"):
            await steering.set_paused(live, True)


async def test_a_kill_that_comes_as_the_job_ends_leaves_the_session_to_the_next_job(
    store: SqlStore, logs: LogStore, live: LiveJob
) -> None:
    runs, session = ActiveRuns(), LateSession()
    steering = steering_of(store, logs, runs, JobLog(logs, max_bytes=MAX_BYTES))
    with runs.begun(live) as run:
        run.session = cast(EngineSession, session)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(steering.stop(live, killed("alice")))
            await session.asked.wait()
            live.update(
                await store.transition(
                    live.job.task_id, JobStatus.SUCCEED, expect={JobStatus.RUNNING}
                )
            )
            session.has_next.set()
    assert live.job.status is JobStatus.SUCCEED
    assert not session.killed


async def test_no_line_follows_the_one_that_tells_the_end(store: SqlStore, logs: LogStore) -> None:
    job, _ = await store.create_job(spec(), instance="here:9104")
    live, job_log = LiveJob(job), SlowLog(logs)
    steering = steering_of(store, logs, ActiveRuns(), job_log)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(steering.set_paused(live, True))
        await job_log.reached.wait()
        tasks.create_task(steering.stop(live, killed("alice")))
        for _ in range(50):  # as far as a kill comes that does not wait
            await store.get_job(job.task_id)
        job_log.released.set()

    text = (await logs.read(job.task_id, 1, max_lines=10, max_bytes=10_000)).text.decode()
    lines = text.splitlines()
    assert [line.partition("Your job ")[2] for line in lines] == [
        "is paused.",
        "was killed by alice.",
    ]
