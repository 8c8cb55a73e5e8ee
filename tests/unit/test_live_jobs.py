"""Jobs in memory, and how their followers are woken."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime

from entrance_server.changes import Changes
from entrance_server.domain.job import Job, JobSpec, ProgressInfo, Resources
from entrance_server.domain.status import JobStatus
from entrance_server.service.live import LiveJob

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(**fields: object) -> Job:
    spec = JobSpec("alice", "alice", "IDE", "duckdb", "sql", "SELECT 1")
    made = Job(7, spec, "here:9104", JobStatus.RUNNING, NOW, NOW)
    return dataclasses.replace(made, **fields)  # type: ignore[arg-type]


def test_progress_never_goes_back() -> None:
    live = LiveJob(job())
    live.advance(0.5, ())
    live.advance(0.25, ())
    live.update(job(result_count=1))
    assert live.view().progress == 0.5


def test_a_pause_that_is_shown_late_takes_back_no_result_that_came_meanwhile() -> None:
    live = LiveJob(job())
    live.update(job(paused=True, result_count=1))
    live.update(job(paused=True))
    assert live.job.result_count == 1


def test_another_try_begins_its_progress_anew() -> None:
    live = LiveJob(job())
    live.advance(0.5, [ProgressInfo("1", 0, 0, 1, 1)])
    live.measure(Resources(1, 1.0, 1))
    live.update(job(result_count=1))
    live.update(job(status=JobStatus.WAIT_FOR_RETRY, attempt=2))
    assert live.job.result_count == 0
    view = live.view()
    assert (view.progress, list(view.progress_info), view.resources) == (0.0, [], None)


async def test_a_wait_ends_by_a_change_or_by_its_time() -> None:
    live = LiveJob(job())
    seen = live.job_changes.revision
    assert await live.unchanged_until(datetime.now(UTC), since=seen)
    waiting = asyncio.create_task(live.unchanged_until(None, since=seen))
    live.update(job(result_count=1))
    assert not await waiting
    assert not await live.unchanged_until(datetime.max.replace(tzinfo=UTC), since=seen)


def test_a_final_state_stays() -> None:
    live = LiveJob(job())
    live.update(job(status=JobStatus.SUCCEED, progress=1.0))
    live.update(job())
    live.advance(0.1, [ProgressInfo("1", 0, 0, 1, 1)])
    assert live.job.status is JobStatus.SUCCEED
    assert live.view().progress == 1.0


async def test_a_waiter_that_missed_several_changes_sees_the_newest_at_once() -> None:
    changes = Changes()
    for _ in range(3):
        changes.bump()
    assert await changes.beyond(0) == 3


async def test_a_change_wakes_every_waiter_but_one_that_was_cancelled() -> None:
    changes = Changes()
    waiters = [asyncio.create_task(changes.beyond(0)) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    await asyncio.sleep(0)
    changes.bump()
    assert await asyncio.gather(*waiters[1:]) == [1, 1]
