"""Brings what ended jobs left behind to object storage, and makes room here for what comes."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from entrance_server import job_files
from entrance_server.archive import BucketUnavailable
from entrance_server.domain import ids
from entrance_server.keeper import Keeper
from entrance_server.logs import LogStore, LogUnavailable
from entrance_server.service.archived import ArchivedFiles
from entrance_server.service.disk_guard import DiskGuard
from entrance_server.service.job_log import utc_now
from entrance_server.service.wards import looked_after
from entrance_server.store.port import ArchivedFile, ArchiveLedger, StoredFiles, StoreUnavailable

if TYPE_CHECKING:  # it needs the extra `s3`
    from entrance_server.archive.bucket import Bucket

BATCH = 100  # jobs that are asked for at once
JOBS_AT_ONCE = 8
AFTER_OUTAGE = timedelta(seconds=30)  # before the next try

log = structlog.get_logger(__name__)


class FilesMissing(Exception):
    """A job has less on this disk than was measured: what is archived would not be whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRules:
    """When files go to object storage, and from here.

    Attributes:
        after: How long after a job's end its files are archived, at least.
        local_age: How long after a job's end its files stay here too; None is until the disk is
            short.
        interval: Between two rounds.
    """

    after: timedelta = timedelta(minutes=1)
    local_age: timedelta | None = None
    interval: timedelta = timedelta(minutes=1)


class Archivist(Keeper):
    """Archives the jobs of one instance, round by round. An async context manager.

    One of the servers does it for those that are gone, too.

    A round that is cut short, by a crash too, is gone on with by the next one. Files are removed
    from here only when all of a job's objects are there and the store knows it.
    """

    def __init__(
        self,
        *,
        ledger: ArchiveLedger,
        bucket: Bucket,
        archived: ArchivedFiles,
        logs: LogStore,
        disk: DiskGuard,
        root: Path,
        instance: str,
        rules: ArchiveRules,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._ledger = ledger
        self._bucket = bucket
        self._archived = archived
        self._logs = logs
        self._disk = disk
        self._root = root
        self._instance = instance
        self._rules = rules
        self._clock = clock
        self._turns = asyncio.Semaphore(JOBS_AT_ONCE)

    async def run_once(self) -> None:
        """One round.

        Raises:
            BucketUnavailable, StoreUnavailable, OSError: it was cut short.
        """
        instances = await looked_after(self._ledger, self._instance)
        try:
            for instance in instances:
                await self._archive_all(instance)
        finally:  # what is archived already can go in an outage too
            for instance in instances:
                await self._drop_copies(instance)

    async def _work(self) -> None:
        while True:
            pause = self._rules.interval
            try:
                await self.run_once()
            except BucketUnavailable as error:
                log.warning("archive waits for object storage", error=str(error))
                pause = max(pause, AFTER_OUTAGE)
            except (StoreUnavailable, OSError) as error:
                log.warning("archive waits for storage", error=str(error))
            except Exception:
                log.exception("archive failed")
            await asyncio.sleep(pause.total_seconds())

    async def _archive_all(self, instance: str) -> None:
        failed: set[int] = set()
        while waiting := await self._waiting(instance, failed):
            outages: Sequence[Exception] = ()
            try:
                async with asyncio.TaskGroup() as group:
                    for files in waiting:
                        group.create_task(self._try(files, failed))
            except* (BucketUnavailable, StoreUnavailable) as group_of_errors:
                outages = group_of_errors.exceptions
            if outages:  # raised out here, since Python before 3.11.4 makes a group of it in there
                raise outages[0]

    async def _waiting(self, instance: str, failed: Collection[int]) -> Sequence[StoredFiles]:
        found = await self._ledger.unarchived_files(
            instance,
            ended_before=self._clock() - self._rules.after,
            limit=BATCH + len(failed),
        )
        return [files for files in found if files.task_id not in failed]

    async def _try(self, files: StoredFiles, failed: set[int]) -> None:
        """Archives a job; one whose files can't be read holds nobody up."""
        try:
            async with self._turns, self._archived.lock(files.task_id):
                await self._archive(files)
        except (FilesMissing, LogUnavailable, OSError) as error:
            log.error("files not archived", task_id=files.task_id, error=str(error))
            failed.add(files.task_id)

    async def _archive(self, stored: StoredFiles) -> None:
        task_id = stored.task_id
        await self._logs.close(task_id)
        files = await asyncio.to_thread(_files, self._root, task_id)
        if sum(one.size for one in files) < stored.size:
            raise FilesMissing(f"of {stored.size} bytes some are not in {self._root}")
        key = await self._ledger.begin_archive(task_id, _new_key(task_id))
        if key is None:  # it was removed meanwhile
            return
        directory = self._root / ids.directory_of(task_id)
        for one in files:
            await self._bucket.put(f"{key}/{one.name}", directory / one.name)
        await self._ledger.finish_archive(task_id, files)

    async def _drop_copies(self, instance: str) -> None:
        """Removes copies here that are old, and others while the disk is short."""
        if (age := self._rules.local_age) is not None:
            while old := await self._local(instance, self._clock() - age):
                await self._drop(old)
        while self._disk.is_short and (oldest := await self._local(instance, self._clock())):
            await self._drop(oldest)
            await self._disk.look()

    async def _local(self, instance: str, ended_before: datetime) -> Sequence[StoredFiles]:
        return await self._ledger.local_copies(instance, ended_before=ended_before, limit=BATCH)

    async def _drop(self, stored: Sequence[StoredFiles]) -> None:
        task_ids = [files.task_id for files in stored]
        for task_id in task_ids:
            await asyncio.to_thread(job_files.remove, self._root, task_id)
        await self._ledger.forget_local(task_ids)
        log.info("local copies removed", jobs=len(stored), bytes=sum(one.size for one in stored))


def _new_key(task_id: int) -> str:
    """Never one that was used before, since a store that was put back gives out numbers again."""
    return f"{ids.directory_of(task_id)}-{secrets.token_hex(4)}"


def _files(root: Path, task_id: int) -> Sequence[ArchivedFile]:
    directory = root / ids.directory_of(task_id)
    found = []
    for name in job_files.names(root, task_id):
        status = os.stat(directory / name)
        made = datetime.fromtimestamp(status.st_mtime, UTC)
        found.append(ArchivedFile(name, status.st_size, made))
    return found
