"""Whose jobs the history tells, and in which pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from entrance_server.domain import errors
from entrance_server.domain.job import Job, Principal
from entrance_server.domain.status import ACTIVE, JobStatus
from entrance_server.logs import LogStore
from entrance_server.service.history import HistoryService, TaskQuery
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJobs
from entrance_server.store import SqlStore
from entrance_server.store.port import JobFilter
from tests.unit.specs import spec

ALICE = Principal("alice", is_admin=False)
ROOT = Principal("root", is_admin=True)
START = datetime(2026, 1, 1, tzinfo=UTC)


class History:
    """The service on a store of its own."""

    def __init__(self, store: SqlStore, logs: LogStore) -> None:
        self.live = LiveJobs()
        self.store = store
        self.now = START
        jobs = Jobs(store=store, live=self.live, logs=logs)
        self.service = HistoryService(jobs=jobs, store=store, clock=lambda: self.now)

    async def add(self, user: str = "alice") -> Job:
        job, _ = await self.store.create_job(spec(execute_user=user), instance="here:9104")
        return job

    async def listed(self, principal: Principal, **asked: Any) -> list[int]:
        page = await self.service.list_tasks(principal, TaskQuery(JobFilter(), **asked))
        return [task.job.task_id for task in page.tasks]


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    async with (
        SqlStore(f"sqlite:///{tmp_path / 'x.db'}", clock=lambda: START) as store,
        LogStore(tmp_path) as logs,
    ):
        yield History(store, logs)


async def test_a_job_that_is_not_there_and_one_of_another_are_told_in_the_same_words(
    history: History,
) -> None:
    other = await history.add("bob")
    told = []
    for id in (str(other.task_id), "99"):
        with pytest.raises(errors.NotFound) as refusal:
            await history.service.get_task(ALICE, id)
        told.append((refusal.value.message.replace(id, "?"), refusal.value.reason))
    assert told[0] == told[1]


async def test_an_administrator_finds_every_job(history: History) -> None:
    job = await history.add("bob")
    assert (await history.service.get_task(ROOT, job.exec_id)).job == job


async def test_a_job_costs_the_time_since_it_was_accepted_until_it_ended(history: History) -> None:
    job = await history.add()
    history.now = START + timedelta(seconds=90)
    assert (await history.service.get_task(ALICE, "1")).cost == timedelta(seconds=90)
    await history.store.transition(job.task_id, JobStatus.CANCELLED, expect=ACTIVE)
    assert (await history.service.get_task(ALICE, "1")).cost == timedelta(0)


async def test_a_list_is_of_the_caller_s_jobs(history: History) -> None:
    await history.add("alice")
    await history.add("bob")
    await history.add("root")
    assert await history.listed(ALICE) == [1]
    assert await history.listed(ALICE, user="alice") == [1]
    assert await history.listed(ROOT) == [3]


async def test_an_administrator_may_name_a_user_or_see_all(history: History) -> None:
    await history.add("alice")
    await history.add("bob")
    assert await history.listed(ROOT, user="bob") == [2]
    assert await history.listed(ROOT, everybody=True) == [2, 1]
    assert await history.listed(ROOT, everybody=True, user="alice") == [1]


async def test_nobody_else_sees_more_by_asking_for_it(history: History) -> None:
    await history.add("bob")
    assert await history.listed(ALICE, everybody=True) == []
    for everybody in (False, True):
        with pytest.raises(errors.PermissionDenied, match="proxyUser"):
            await history.listed(ALICE, user="bob", everybody=everybody)


async def test_pages_tile_the_list(history: History) -> None:
    for _ in range(5):
        await history.add()
    pages = [await history.listed(ALICE, page=page, page_size=2) for page in range(5)]
    assert pages == [[5, 4], [5, 4], [3, 2], [1], []]
    page = await history.service.list_tasks(ALICE, TaskQuery(JobFilter(), 9, 2))
    assert (list(page.tasks), page.total) == ([], 5)


@pytest.mark.parametrize("asked", [{"page": -1}, {"page_size": -1}])
async def test_a_negative_page_is_refused(history: History, asked: dict[str, int]) -> None:
    with pytest.raises(errors.InvalidRequest, match="-1"):
        await history.listed(ALICE, **asked)


async def test_a_list_is_never_ahead_of_what_was_published(history: History) -> None:
    live = history.live.add(await history.add())
    live.advance(0.5, ())
    await history.store.transition(1, JobStatus.SCHEDULED, expect=ACTIVE)
    (task,) = (await history.service.list_tasks(ALICE, TaskQuery(JobFilter()))).tasks
    assert (task.job.status, task.job.progress) == (JobStatus.INITED, 0.5)
