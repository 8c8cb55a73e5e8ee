"""Removes what ended jobs left on disk once it is old or too much, and in the end their rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import structlog

from entrance_server import job_files
from entrance_server.archive import BucketUnavailable
from entrance_server.keeper import Keeper
from entrance_server.logs import LogStore, LogUnavailable
from entrance_server.service.archived import ArchivedFiles
from entrance_server.service.job_log import utc_now
from entrance_server.service.live import LiveJobs
from entrance_server.service.wards import looked_after
from entrance_server.store.port import Ledger, StoredFiles, StoreUnavailable

BATCH = 200  # jobs of one transaction
SWEEP_INTERVAL = timedelta(days=1)  # between looks for directories that no row tells of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """How long logs and results of ended jobs are kept, and their rows; None is for ever.

    Attributes:
        age: Files that ended longer ago are removed.
        size: While all files have more bytes, those that ended longest ago are removed.
        spared: What ended less long ago is not removed for its size.
        history_age: Rows of jobs that ended longer ago are removed, with their files.
        interval: Between two rounds.
    """

    age: timedelta | None = None
    size: int | None = None
    spared: timedelta = timedelta(minutes=10)
    history_age: timedelta | None = None
    interval: timedelta = timedelta(minutes=1)

    @property
    def files_age(self) -> timedelta | None:
        """How long files are kept: no longer than the row that tells of them."""
        ages = [age for age in (self.age, self.history_age) if age is not None]
        return min(ages, default=None)


class Retention(Keeper):
    """Applies the rules to the jobs of one instance, round by round. An async context manager.

    One of the servers does it for those that are gone, too, to the jobs of each by themselves.

    It never touches a job that has not ended. A round that is cut short, by a crash too, is gone
    on with by the next one. Nothing is removed for its age earlier than `not_before`.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        live: LiveJobs,
        logs: LogStore,
        root: Path,
        aside: Path,
        instance: str,
        rules: RetentionRules,
        archived: ArchivedFiles | None = None,
        clock: Callable[[], datetime] = utc_now,
        not_before: datetime | None = None,
    ) -> None:
        self._ledger = ledger
        self._live = live
        self._logs = logs
        self._root = root
        self._aside = aside
        self._instance = instance
        self._rules = rules
        self._archived = archived
        self._clock = clock
        self._not_before = not_before
        self._next_sweep = clock()

    async def __aenter__(self) -> Self:
        await self._set_aside_unknown()
        return await super().__aenter__()

    async def run_once(self) -> None:
        """One round.

        Raises:
            StoreUnavailable, OSError: it was cut short.
        """
        for instance in await looked_after(self._ledger, self._instance):
            await self._apply_rules(instance)
        if self._clock() >= self._next_sweep:
            self._next_sweep = self._clock() + SWEEP_INTERVAL
            await self._sweep()

    async def _apply_rules(self, instance: str) -> None:
        await self._finish_removals(instance)
        await self._measure(instance)
        ages_count = self._not_before is None or self._clock() >= self._not_before
        if self._rules.files_age is not None and ages_count:
            await self._remove_older(instance, self._rules.files_age)
        if self._rules.size is not None:
            await self._remove_beyond(instance, self._rules.size)
        if self._rules.history_age is not None and ages_count:
            await self._forget_older(instance, self._rules.history_age)

    async def _work(self) -> None:
        while True:
            try:
                await self.run_once()
            except (StoreUnavailable, OSError) as error:
                log.warning("retention waits for storage", error=str(error))
            except Exception:
                log.exception("retention failed")
            await asyncio.sleep(self._rules.interval.total_seconds())

    async def _finish_removals(self, instance: str) -> None:
        """Removes what was marked by a round that was cut short."""
        while marked := await self._ledger.removals(instance, limit=BATCH):
            if not await self._delete(marked):
                return

    async def _measure(self, instance: str) -> None:
        """Notes what the files of jobs take that have ended since the last round."""
        while True:
            found = await self._ledger.unmeasured_jobs(instance, limit=BATCH)
            ended = [task_id for task_id in found if self._live.get(task_id) is None]
            if not ended:
                return
            await self._ledger.set_stored_bytes(await asyncio.to_thread(self._sizes, ended))

    def _sizes(self, task_ids: Sequence[int]) -> dict[int, int]:
        return {task_id: job_files.size(self._root, task_id) for task_id in task_ids}

    async def _remove_older(self, instance: str, age: timedelta) -> None:
        while old := await self._oldest(instance, self._clock() - age):
            await self._remove(old)

    async def _remove_beyond(self, instance: str, size: int) -> None:
        excess = await self._ledger.stored_bytes(instance) - size
        while excess > 0:
            oldest = list(
                _up_to(excess, await self._oldest(instance, self._clock() - self._rules.spared))
            )
            if not oldest:
                log.warning("more is stored than is to be kept", excess=excess)
                return
            await self._remove(oldest)
            excess -= sum(files.size for files in oldest)

    async def _forget_older(self, instance: str, age: timedelta) -> None:
        before = self._clock() - age
        while removed := await self._ledger.remove_jobs(instance, ended_before=before, limit=BATCH):
            log.info("history removed", jobs=removed, ended_before=before.isoformat())

    async def _oldest(self, instance: str, ended_before: datetime) -> list[StoredFiles]:
        found = await self._ledger.oldest_files(instance, ended_before=ended_before, limit=BATCH)
        return [files for files in found if self._live.get(files.task_id) is None]

    async def _remove(self, stored: Collection[StoredFiles]) -> None:
        task_ids = [files.task_id for files in stored]
        await self._ledger.mark_removed(task_ids)
        await self._delete(task_ids)
        log.info("files removed", jobs=len(stored), bytes=sum(files.size for files in stored))

    async def _delete(self, task_ids: Collection[int]) -> int:
        """Removes the files of marked jobs; of how many. What can't be removed now stays marked."""
        gone = await self._delete_archived(await self._delete_local(task_ids))
        await self._ledger.forget_files(gone)
        return len(gone)

    async def _delete_local(self, task_ids: Collection[int]) -> Sequence[int]:
        gone = []
        for task_id in task_ids:
            try:
                await self._logs.close(task_id)
                await asyncio.to_thread(job_files.remove, self._root, task_id)
                gone.append(task_id)
            except (LogUnavailable, OSError) as error:
                log.error("files not removed", task_id=task_id, error=str(error))
        return gone

    async def _delete_archived(self, task_ids: Sequence[int]) -> Sequence[int]:
        if self._archived is None:
            return task_ids
        for count, task_id in enumerate(task_ids):
            try:
                await self._archived.remove(task_id)
            except BucketUnavailable as error:  # it would say so of the others too
                log.error("archived files not removed", task_id=task_id, error=str(error))
                return task_ids[:count]
        return task_ids

    async def _sweep(self) -> None:
        """Removes directories that no row tells of."""
        for numbers in await asyncio.to_thread(lambda: list(job_files.found(self._root))):
            for task_id in await self._unknown(numbers):
                log.warning("directory of no job removed", task_id=task_id)
                await asyncio.to_thread(job_files.remove, self._root, task_id)

    async def _set_aside_unknown(self) -> None:
        """Moves away what has a number that a new job may get, so that no job is shown another's.

        Such a directory is there when the store was put back to an older state, or is another one.
        """
        last = await self._ledger.last_job()
        newest = await asyncio.to_thread(lambda: list(job_files.found(self._root, first=last)))
        beyond = [[number for number in numbers if number > last] for numbers in newest]
        # another server of the store may just have made a job
        for task_id in [one for numbers in beyond for one in await self._unknown(numbers)]:
            target = self._aside / f"{task_id}-{self._clock():%Y%m%dT%H%M%S}"
            log.error("directory of a job that the store does not know", moved_to=str(target))
            await asyncio.to_thread(job_files.set_aside, self._root, task_id, target)

    async def _unknown(self, numbers: Sequence[int]) -> Sequence[int]:
        if not numbers:
            return ()
        known = await self._ledger.known_jobs(numbers[0], numbers[-1])
        return [number for number in numbers if number not in known]


def _up_to(excess: int, stored: Sequence[StoredFiles]) -> Iterator[StoredFiles]:
    """As many as have so many bytes together."""
    for files in stored:
        if excess <= 0:
            return
        excess -= files.size
        yield files
