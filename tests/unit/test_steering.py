"""Who steers a job leaves its log in the order of what happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrance_server.domain.job import Job
from entrance_server.logs import LogStore
from entrance_server.service.job_log import JobLog, Level
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJob, LiveJobs
from entrance_server.service.runs import ActiveRuns, killed
from entrance_server.service.steering import Steering
from entrance_server.store import SqlStore
from tests.unit.specs import spec


class SlowLog(JobLog):
    """A job log whose plain lines are written when the test lets them."""

    def __init__(self, logs: LogStore) -> None:
        super().__init__(logs, max_bytes=1_000_000)
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def line(self, job: Job, level: Level, text: str) -> None:
        self.reached.set()
        await self.released.wait()
        await super().line(job, level, text)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with SqlStore(f"sqlite:///{tmp_path / 'entrance.db'}") as store:
        yield store


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    async with LogStore(tmp_path / "jobs") as logs:
        yield logs


async def test_no_line_follows_the_one_that_tells_the_end(store: SqlStore, logs: LogStore) -> None:
    job, _ = await store.create_job(spec(), instance="here:9104")
    lives, job_log = LiveJobs(), SlowLog(logs)
    live: LiveJob = lives.add(job)
    jobs = Jobs(store=store, live=lives, logs=logs)
    steering = Steering(jobs=jobs, store=store, job_log=job_log, runs=ActiveRuns(), kill_grace=1)

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
