"""Kills, pauses and resumes are done to their end, though their caller goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrance_server.domain.job import GroupLimits, Job, Principal
from entrance_server.domain.status import ACTIVE, JobStatus
from entrance_server.logs import LogStore
from entrance_server.scheduling import LimitRules, Scheduler
from entrance_server.service.background import Background
from entrance_server.service.control import ControlService
from entrance_server.service.dispatch import Dispatcher
from entrance_server.service.job_log import JobLog
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJob, LiveJobs
from entrance_server.service.runs import ActiveRuns, Stop
from entrance_server.service.steering import Steering
from entrance_server.store import SqlStore
from tests.unit.slow_log import MAX_BYTES
from tests.unit.specs import spec, sqlite_url

ALICE = Principal("alice", is_admin=False)


class SlowSteering(Steering):
    """Steering that begins when the test lets it."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def stop(
        self, live: LiveJob, stop: Stop, *, within: Collection[JobStatus] = ACTIVE
    ) -> None:
        await self._wait()
        await super().stop(live, stop, within=within)

    async def set_paused(self, live: LiveJob, paused: bool) -> None:
        await self._wait()
        await super().set_paused(live, paused)

    async def _wait(self) -> None:
        self.reached.set()
        await self.released.wait()


@dataclass
class Controlled:
    """A job that waits, and who controls it."""

    job: Job
    store: SqlStore
    scheduler: Scheduler
    steering: SlowSteering
    background: Background
    control: ControlService

    async def abandoned(self, call: Any) -> None:
        """Makes a call and goes away while it is under way; returns when all of it is done."""
        async with self.background:
            caller = asyncio.create_task(call)
            await self.steering.reached.wait()
            caller.cancel()
            await asyncio.wait([caller])
            self.steering.released.set()


@pytest.fixture
async def controlled(tmp_path: Path) -> AsyncIterator[Controlled]:
    async with SqlStore(sqlite_url(tmp_path)) as store, LogStore(tmp_path / "jobs") as logs:
        job, _ = await store.create_job(spec(), instance="here:9104")
        job = await store.set_paused(job.task_id, True)
        live, unused = LiveJobs(), Any
        jobs = Jobs(store=store, live=live, logs=logs)
        scheduler = Scheduler(limits=LimitRules(GroupLimits()), max_running=1)
        steering = SlowSteering(
            jobs=jobs,
            store=store,
            job_log=JobLog(logs, max_bytes=MAX_BYTES),
            runs=ActiveRuns(),
            kill_grace=1,
        )
        background = Background()
        control = ControlService(
            jobs=jobs,
            steering=steering,
            dispatcher=Dispatcher(
                scheduler=scheduler,
                executor=unused,  # type: ignore[arg-type]
                timeouts=unused,  # type: ignore[arg-type]
                live=live,
            ),
            background=background,
        )
        live.add(job)
        scheduler.add(job.task_id, job.spec.group, held=True)
        yield Controlled(job, store, scheduler, steering, background, control)


async def test_a_resumed_job_may_start_though_who_resumed_it_went_away(
    controlled: Controlled,
) -> None:
    task_id = controlled.job.task_id
    await controlled.abandoned(controlled.control.resume(ALICE, str(task_id)))
    stored = await controlled.store.get_job(task_id)
    assert stored is not None
    assert not stored.paused
    assert controlled.scheduler.take() == task_id


async def test_a_killed_job_leaves_its_queue_though_who_killed_it_went_away(
    controlled: Controlled,
) -> None:
    task_id = controlled.job.task_id
    await controlled.abandoned(controlled.control.kill(ALICE, str(task_id)))
    stored = await controlled.store.get_job(task_id)
    assert stored is not None
    assert stored.status is JobStatus.CANCELLED
    assert not controlled.scheduler.loads()
