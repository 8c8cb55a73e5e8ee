"""The way of a job from its turn to its run, beside those who steer it meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from entrance_server.domain.job import Job
from entrance_server.domain.run_policy import RunPolicies, RunPolicy
from entrance_server.domain.status import JobStatus
from entrance_server.engines.pool import SessionPool
from entrance_server.engines.registry import EngineRegistry
from entrance_server.engines.runners import Squeezed
from entrance_server.engines.session import EngineSession, SessionKey
from entrance_server.logs import LogStore
from entrance_server.results import ResultFiles
from entrance_server.service.endings import Endings
from entrance_server.service.execution import Executor
from entrance_server.service.group_places import GroupPlaces
from entrance_server.service.intake import Intake
from entrance_server.service.job_log import JobLog
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJob, LiveJobs
from entrance_server.service.retries import Retries
from entrance_server.service.runs import ActiveRuns
from entrance_server.service.steering import Steering
from entrance_server.store import SqlStore
from tests.unit.slow_log import SlowLog
from tests.unit.specs import spec


class Places:
    """Places of which there are always some."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def take(self, job: Job, *, session_id: str | None = None) -> Job:
        assert session_id is None
        return await self._store.transition(
            job.task_id, JobStatus.SCHEDULED, expect={JobStatus.INITED}
        )


class NoSessions:
    """A pool in which none is idle, nor comes to be."""

    async def take_idle(self, key: SessionKey) -> None:
        return None

    async def acquire(self, key: SessionKey, *, squeezed: Squeezed) -> EngineSession:
        await asyncio.Future[None]()
        raise AssertionError


def executor_of(
    jobs: Jobs,
    store: SqlStore,
    log: JobLog,
    runs: ActiveRuns,
    *,
    logs: LogStore,
    results: ResultFiles,
) -> Executor:
    """What takes a job as far as to the wait for its session."""
    unused: Any = None
    policies = RunPolicies(RunPolicy())
    return Executor(
        jobs=jobs,
        logs=logs,
        results=results,
        pool=cast(SessionPool, NoSessions()),
        engines=EngineRegistry([], aliases={}),
        job_log=log,
        policies=policies,
        runs=runs,
        intake=Intake(
            jobs=jobs, store=store, logs=logs, results=results, job_log=log, max_result_bytes=1
        ),
        endings=Endings(
            jobs=jobs,
            store=store,
            results=results,
            job_log=log,
            policies=policies,
            retries=Retries((), timedelta(), timedelta()),
        ),
        steering=unused,
        places=cast(GroupPlaces, Places(store)),
    )


async def test_a_job_that_is_paused_as_its_turn_comes_does_not_seem_to_go_back(
    tmp_path: Path,
) -> None:
    async with (
        SqlStore(f"sqlite:///{tmp_path / 'store.db'}") as store,
        LogStore(tmp_path) as logs,
        ResultFiles(tmp_path) as results,
    ):
        job, _ = await store.create_job(spec(), instance="here:9104")
        live, log, runs = LiveJob(job), SlowLog(logs), ActiveRuns()
        jobs = Jobs(store=store, live=LiveJobs(), logs=logs)
        steering = Steering(jobs=jobs, store=store, job_log=log, runs=runs, kill_grace=1)
        executor = executor_of(jobs, store, log, runs, logs=logs, results=results)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(steering.set_paused(live, True))
            await log.reached.wait()  # it is stored, and not yet shown
            turn = tasks.create_task(executor.execute(live))
            for _ in range(50):  # as far as a turn comes that does not wait
                await store.get_job(job.task_id)
            log.released.set()
            seen = [live.job.status]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    while not (live.job.paused and live.job.status is JobStatus.SCHEDULED):
                        await live.job_changes.beyond(live.job_changes.revision)
                        seen.append(live.job.status)
            turn.cancel()
    assert seen == [JobStatus.INITED, JobStatus.INITED, JobStatus.SCHEDULED]


async def test_a_try_whose_end_the_log_tells_already_does_not_begin_after_a_restart(
    tmp_path: Path,
) -> None:
    async with (
        SqlStore(f"sqlite:///{tmp_path / 'store.db'}") as store,
        LogStore(tmp_path) as logs,
        ResultFiles(tmp_path) as results,
    ):
        job, _ = await store.create_job(spec(), instance="here:9104")
        job, _ = await store.schedule(job, at_most=1)
        log = JobLog(logs, max_bytes=1_000_000)
        await log.end_of_try(job, "ERROR", "Your job has ended: Failed.")  # and then the crash
        live, runs = LiveJob(job), ActiveRuns()
        jobs = Jobs(store=store, live=LiveJobs(), logs=logs)
        executor = executor_of(jobs, store, log, runs, logs=logs, results=results)
        async with asyncio.timeout(10):
            await executor.execute(live)
        assert live.job.status is JobStatus.FAILED
        assert await logs.next_line(job.task_id) == 2
