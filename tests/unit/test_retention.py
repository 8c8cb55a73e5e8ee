"""What is removed when, what is never touched, and that a round which is cut short is finished."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from entrance_server import job_files
from entrance_server.domain.job import Job, ResultSet, ResultType
from entrance_server.domain.status import ACTIVE, FINAL, JobStatus
from entrance_server.logs import LogStore
from entrance_server.service.live import LiveJobs
from entrance_server.service.retention import Retention, RetentionRules
from entrance_server.store import SqlStore
from entrance_server.store.port import StoredFiles, StoreUnavailable
from tests.support.waiting import eventually
from tests.unit.test_store import INSTANCE, Clock, create

LOG = b"a line\n"
DAY = timedelta(days=1)
RULES = RetentionRules(spared=timedelta())


class Kept:
    """A store with the files of its jobs, and the retention of both."""

    def __init__(self, store: SqlStore, logs: LogStore, root: Path, clock: Clock) -> None:
        self.store = store
        self.logs = logs
        self.root = root
        self.clock = clock
        self.live = LiveJobs()

    def retention(
        self, ledger: Any = None, *, instance: str = INSTANCE, not_before: Any = None, **rules: Any
    ) -> Retention:
        return Retention(
            ledger=ledger or self.store,
            live=self.live,
            logs=self.logs,
            root=self.root,
            aside=self.root.parent / "aside",
            instance=instance,
            rules=dataclasses.replace(RULES, **rules),
            clock=self.clock,
            not_before=not_before,
        )

    async def run(self, **rules: Any) -> None:
        """One round by these rules."""
        await self.retention(**rules).run_once()

    async def job(self, status: JobStatus = JobStatus.SUCCEED, *, lines: int = 1) -> Job:
        """A job with a log and a result; one that has ended did so a minute after the last one."""
        self.clock.advance(60)
        job = await create(self.store, status)
        await self.logs.append(job.task_id, LOG * lines, lines)
        await self.store.add_result(
            job.task_id, ResultSet(0, ResultType.TEXT, "text/plain", "1-0.txt", size_bytes=3)
        )
        results = self.directory(job.task_id) / "results"
        results.mkdir()
        (results / "1-0.txt").write_bytes(b"abc")
        return job

    def directory(self, task_id: int) -> Path:
        return self.root / str(task_id // 1000) / str(task_id)

    async def size(self, job: Job) -> int:
        return job_files.size(self.root, job.task_id)

    async def has_files(self, *jobs: Job) -> list[bool]:
        """Of each job, whether it still has files; the store must agree with the disk."""
        there = [self.directory(job.task_id).exists() for job in jobs]
        rows = [await self.row(job) for job in jobs]
        assert [row.removed_time is None for row in rows] == there
        for job, kept in zip(jobs, there, strict=True):
            assert bool(await self.store.list_results(job.task_id, limit=9)) == kept
        return there

    async def row(self, job: Job) -> Job:
        row = await self.store.get_job(job.task_id)
        assert row is not None
        return row


@pytest.fixture
async def kept(url: str, tmp_path: Path) -> AsyncIterator[Kept]:
    clock, root = Clock(), tmp_path / "jobs"
    async with SqlStore(url, clock=clock) as store, LogStore(root) as logs:
        yield Kept(store, logs, root, clock)


class Failing:
    """A ledger that fails in one of its methods, as at a crash just before it."""

    def __init__(self, ledger: SqlStore, method: str) -> None:
        self._ledger = ledger
        self._method = method

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            raise StoreUnavailable("crashed")
        return getattr(self._ledger, name)


class TestAge:
    async def test_files_are_removed_once_they_are_older(self, kept: Kept) -> None:
        old = await kept.job()
        kept.clock.advance(DAY.total_seconds())
        young = await kept.job()
        await kept.run(age=DAY)
        assert await kept.has_files(old, young) == [False, True]

    async def test_nothing_goes_for_its_age_while_the_time_may_be_wrong(self, kept: Kept) -> None:
        job = await kept.job()
        now = kept.clock.advance(2 * DAY.total_seconds())
        rounds = kept.retention(age=DAY, history_age=DAY, not_before=now + DAY)
        await rounds.run_once()
        assert await kept.has_files(job) == [True]
        kept.clock.advance(DAY.total_seconds())
        await rounds.run_once()
        assert not kept.directory(job.task_id).exists()

    async def test_the_job_stays_with_the_time_of_the_removal(self, kept: Kept) -> None:
        job = await kept.job(JobStatus.FAILED)
        now = kept.clock.advance(2 * DAY.total_seconds())
        await kept.run(age=DAY)
        before = await kept.row(job)
        assert before == dataclasses.replace(before, status=JobStatus.FAILED, removed_time=now)
        kept.clock.advance(60)
        await kept.run(age=DAY)
        assert await kept.row(job) == before

    async def test_nothing_is_removed_without_a_rule(self, kept: Kept) -> None:
        job = await kept.job()
        kept.clock.advance(1000 * DAY.total_seconds())
        await kept.run()
        assert await kept.has_files(job) == [True]

    async def test_many_are_removed_in_one_round(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("entrance_server.service.retention.BATCH", 2)
        jobs = [await kept.job() for _ in range(5)]
        kept.clock.advance(2 * DAY.total_seconds())
        await kept.run(age=DAY)
        assert await kept.has_files(*jobs) == [False] * 5


class TestSize:
    async def test_the_longest_ended_go_first_until_the_rest_fits(self, kept: Kept) -> None:
        jobs = [await kept.job() for _ in range(4)]
        size = await kept.size(jobs[0])
        await kept.run(size=2 * size)
        assert await kept.has_files(*jobs) == [False, False, True, True]

    async def test_one_too_large_does_not_take_younger_ones_along(self, kept: Kept) -> None:
        large = await kept.job(lines=1000)
        small = await kept.job()
        await kept.run(size=await kept.size(large))
        assert await kept.has_files(large, small) == [False, True]

    async def test_what_has_just_ended_is_spared(self, kept: Kept) -> None:
        old = await kept.job()
        kept.clock.advance(3600)
        young = await kept.job()
        await kept.run(size=1, spared=timedelta(minutes=30))
        assert await kept.has_files(old, young) == [False, True]

    async def test_each_job_is_measured_once(self, kept: Kept) -> None:
        job = await kept.job()
        size = await kept.size(job)
        await kept.run()
        assert await kept.store.stored_bytes(INSTANCE) == size
        await kept.logs.append(job.task_id, LOG * 1000, 1000)
        await kept.run(size=size)
        assert await kept.store.stored_bytes(INSTANCE) == size
        assert await kept.has_files(job) == [True]


class TestLiveJobs:
    @pytest.mark.parametrize("status", sorted(ACTIVE))
    async def test_are_never_touched(self, kept: Kept, status: JobStatus) -> None:
        job = await kept.job(status)
        kept.clock.advance(1000 * DAY.total_seconds())
        await kept.run(age=DAY, size=1, history_age=DAY)
        assert await kept.has_files(job) == [True]
        assert await kept.store.stored_bytes(INSTANCE) == 0

    @pytest.mark.parametrize("status", sorted(FINAL))
    async def test_are_touched_once_they_have_ended(self, kept: Kept, status: JobStatus) -> None:
        job = await kept.job(status)
        kept.clock.advance(2 * DAY.total_seconds())
        await kept.run(age=DAY)
        assert await kept.has_files(job) == [False]

    async def test_are_not_touched_before_their_end_was_shown(self, kept: Kept) -> None:
        job = await kept.job()
        kept.live.add(job)
        kept.clock.advance(2 * DAY.total_seconds())
        await kept.run(age=DAY, size=1)
        assert await kept.has_files(job) == [True]
        kept.live.remove(job.task_id)
        await kept.run(age=DAY)
        assert await kept.has_files(job) == [False]

    async def test_of_another_instance_are_left_to_it(self, kept: Kept) -> None:
        job = await kept.job()
        kept.clock.advance(2 * DAY.total_seconds())
        after = kept.clock.now
        assert await kept.store.oldest_files("other:1", ended_before=after, limit=9) == []
        assert await kept.store.unmeasured_jobs("other:1", limit=9) == []
        assert await kept.store.stored_bytes("other:1") == 0
        assert await kept.has_files(job) == [True]


class TestARoundThatIsCutShort:
    @pytest.mark.parametrize("method", ["mark_removed", "forget_files"])
    async def test_is_finished_by_the_next_one(self, kept: Kept, method: str) -> None:
        jobs = [await kept.job() for _ in range(3)]
        kept.clock.advance(2 * DAY.total_seconds())
        cut = kept.retention(Failing(kept.store, method), age=DAY)
        with pytest.raises(StoreUnavailable):
            await cut.run_once()
        await kept.run(age=DAY)
        assert await kept.has_files(*jobs) == [False] * 3
        assert await kept.store.stored_bytes(INSTANCE) == 0
        assert await kept.store.removals(INSTANCE, limit=9) == []

    async def test_between_mark_and_removal_is_finished_whatever_the_rules_are_then(
        self, kept: Kept
    ) -> None:
        job = await kept.job()
        await kept.store.mark_removed([job.task_id])
        await kept.run()
        assert await kept.has_files(job) == [False]

    async def test_within_a_directory_is_finished(self, kept: Kept) -> None:
        job = await kept.job()
        await kept.store.mark_removed([job.task_id])
        (kept.directory(job.task_id) / "log").unlink()
        await kept.run()
        assert await kept.has_files(job) == [False]

    async def test_by_a_directory_that_can_not_be_removed_lets_the_others_go(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stuck, other = await kept.job(), await kept.job()
        kept.clock.advance(2 * DAY.total_seconds())
        remove = job_files.remove

        def refusing(root: Path, task_id: int) -> None:
            if task_id == stuck.task_id:
                raise OSError("busy")
            remove(root, task_id)

        with monkeypatch.context() as patched:
            patched.setattr(job_files, "remove", refusing)
            await kept.run(age=DAY)
        assert await kept.store.removals(INSTANCE, limit=9) == [stuck.task_id]
        assert await kept.has_files(other) == [False]
        await kept.run(age=DAY)
        assert await kept.has_files(stuck) == [False]


class TestHistory:
    async def test_is_forgotten_with_all_files(self, kept: Kept) -> None:
        old = await kept.job()
        kept.clock.advance(2 * DAY.total_seconds())
        young = await kept.job()
        await kept.run(history_age=DAY)
        assert await kept.store.get_job(old.task_id) is None
        assert not kept.directory(old.task_id).exists()
        assert await kept.has_files(young) == [True]

    async def test_is_kept_as_long_as_files_can_not_be_removed(self, kept: Kept) -> None:
        job = await kept.job()
        kept.clock.advance(2 * DAY.total_seconds())
        with pytest.raises(StoreUnavailable):
            await kept.retention(Failing(kept.store, "forget_files"), history_age=DAY).run_once()
        assert (await kept.row(job)).removed_time is not None


class TestDirectoriesWithoutAJob:
    async def test_are_removed(self, kept: Kept) -> None:
        forgotten, job = await kept.job(), await kept.job()
        await _forget(kept, forgotten)
        await kept.run()
        assert not kept.directory(forgotten.task_id).exists()
        assert await kept.has_files(job) == [True]

    async def test_that_a_new_job_might_get_are_set_aside_at_the_start(self, kept: Kept) -> None:
        job = await kept.job()
        stranger = kept.directory(job.task_id + 1)
        stranger.mkdir(parents=True)
        (stranger / "log").write_bytes(LOG)
        async with kept.retention():
            assert not stranger.exists()
            (aside,) = (kept.root.parent / "aside").iterdir()
            assert (aside / "log").read_bytes() == LOG
            assert await kept.has_files(job) == [True]

    async def test_of_a_store_that_is_empty_are_all_set_aside(self, kept: Kept) -> None:
        for number in (1, 999, 1000, 123_456):
            kept.directory(number).mkdir(parents=True)
        async with kept.retention():
            moved = {path.name.partition("-")[0] for path in (kept.root.parent / "aside").iterdir()}
            assert moved == {"1", "999", "1000", "123456"}

    async def test_do_not_mean_what_has_no_number(self, kept: Kept) -> None:
        staging = kept.root / "staging" / "1-1"
        staging.mkdir(parents=True)
        async with kept.retention() as retention:
            await retention.run_once()
            assert staging.exists()


async def test_rounds_go_on_by_themselves_after_one_that_failed(kept: Kept) -> None:
    job = await kept.job()
    kept.clock.advance(2 * DAY.total_seconds())
    failing = Failing(kept.store, "mark_removed")
    rules: dict[str, Any] = {"age": DAY, "interval": timedelta(milliseconds=1)}
    async with kept.retention(failing, **rules):
        await eventually(lambda: kept.store.stored_bytes(INSTANCE), "a round has measured")
        assert await kept.has_files(job) == [True]
        failing._method = ""
        await eventually(lambda: _is_removed(kept, job), "a later round removes it")


async def test_marking_does_not_touch_jobs_that_have_not_ended(kept: Kept) -> None:
    running = await kept.job(JobStatus.RUNNING)
    await kept.store.mark_removed([running.task_id])
    await kept.store.forget_files([running.task_id])
    await kept.store.set_stored_bytes({running.task_id: 7})
    assert await kept.has_files(running) == [True]
    ended = await kept.store.transition(running.task_id, JobStatus.SUCCEED, expect=ACTIVE)
    found = await kept.store.oldest_files(INSTANCE, ended_before=kept.clock.advance(1), limit=9)
    assert found == [StoredFiles(ended.task_id, 0)]


@pytest.mark.parametrize(("other", "is_heir"), [("b", True), ("0", False), ("c", True)])
async def test_the_first_of_the_live_servers_looks_after_what_one_left_that_is_gone(
    kept: Kept, other: str, is_heir: bool
) -> None:
    async def join(name: str, lease: timedelta) -> None:
        await kept.store.join(name, address="", home=name, lease=lease)

    ended, running = await kept.job(), await kept.job(JobStatus.RUNNING)
    await join(INSTANCE, -DAY)
    await join("a", DAY)
    await join(other, DAY)
    kept.clock.advance(DAY.total_seconds())
    await kept.retention(instance="a", age=DAY).run_once()
    assert await kept.has_files(ended, running) == [not is_heir, True]


async def test_a_server_that_went_just_now_looks_after_its_files_itself(kept: Kept) -> None:
    job = await kept.job()
    await kept.store.join(INSTANCE, address="", home="x", lease=timedelta(seconds=-1))
    await kept.store.join("a", address="", home="a", lease=DAY)
    kept.clock.advance(DAY.total_seconds())
    await kept.retention(instance="a", age=DAY).run_once()
    assert await kept.has_files(job) == [True]


async def _is_removed(kept: Kept, job: Job) -> bool:
    return (await kept.row(job)).removed_time is not None


async def _forget(kept: Kept, *jobs: Job) -> Sequence[int]:
    """Lets the store forget jobs, but not their files."""
    ids = [job.task_id for job in jobs]
    await kept.logs.close(ids[0])
    await kept.store.forget_files(ids)
    await kept.store.remove_jobs(INSTANCE, ended_before=kept.clock.now, limit=len(ids))
    return ids
