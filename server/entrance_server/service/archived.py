"""Files of ended jobs in object storage: fetched when they are read, and removed."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from weakref import WeakValueDictionary

import structlog

from entrance_server.archive import BucketUnavailable, Cache, CacheFull, ObjectMissing
from entrance_server.domain import errors
from entrance_server.service.background import Background
from entrance_server.service.live import LiveJobs
from entrance_server.store.port import Archive, ArchivedFile, ArchiveLedger

if TYPE_CHECKING:  # it needs the extra `s3`
    from entrance_server.archive.bucket import Bucket

log = structlog.get_logger(__name__)


class ArchivedFiles:
    """What ended jobs have in object storage; a `job_files.Elsewhere`.

    Without a bucket nothing can be had of it, but it is known that it is there.
    """

    def __init__(
        self,
        *,
        ledger: ArchiveLedger,
        bucket: Bucket | None,
        cache: Cache,
        live: LiveJobs,
        background: Background,
    ) -> None:
        self._ledger = ledger
        self._bucket = bucket
        self._cache = cache
        self._live = live
        self._background = background
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def lock(self, task_id: int) -> asyncio.Lock:
        """Whoever holds it may make or remove the objects of a job."""
        return self._locks.setdefault(task_id, asyncio.Lock())

    async def fetch(self, task_id: int, names: Collection[str]) -> Path | None:
        """A directory that has copies of some files of a job now; None where there are none.

        Raises:
            Unavailable: they are in object storage, and can't be had now.
        """
        if not self._cache.has([_copy_name(task_id, name) for name in names]):
            archive = await self._archive_of(task_id)
            files = {one.name: one for one in archive.files or ()} if archive else {}
            if archive is None or not all(name in files for name in names):
                return None
            with _told_to_callers(task_id):
                # others may wait for it, or come for it again, when this caller goes
                wanted = [files[name] for name in names]
                await self._background.finish(self._copy(task_id, archive.key, wanted))
        return self._cache.path(str(task_id))

    async def modify_times(self, task_id: int) -> Mapping[str, datetime]:
        """When each file of a job was made; nothing where there are none."""
        archive = await self._archive_of(task_id)
        files = archive.files or () if archive else ()
        return {one.name: one.modify_time for one in files}

    async def remove(self, task_id: int) -> None:
        """Removes what there is of a job.

        Raises:
            BucketUnavailable: some of it is still there.
        """
        async with self.lock(task_id):
            archive = await self._ledger.archive_of(task_id)
            if archive is None:
                return
            await self._needed().remove(archive.key)
            await self._cache.drop(str(task_id))

    async def _archive_of(self, task_id: int) -> Archive | None:
        # a job that has not ended has nothing there, and is asked for most often
        return None if self._live.get(task_id) else await self._ledger.archive_of(task_id)

    async def _copy(self, task_id: int, key: str, wanted: Sequence[ArchivedFile]) -> None:
        files = {_copy_name(task_id, file.name): file for file in wanted}

        async def load(name: str, target: Path) -> None:
            file = files[name]
            with await asyncio.to_thread(target.open, "wb") as copy:
                await self._download(f"{key}/{file.name}", file, copy)

        await self._cache.get({name: file.size for name, file in files.items()}, load)

    async def _download(self, name: str, file: ArchivedFile, copy: BinaryIO) -> None:
        async for piece in self._needed().read(name, file.size):
            await asyncio.to_thread(copy.write, piece)
        await asyncio.to_thread(copy.flush)
        times = (file.modify_time.timestamp(),) * 2
        await asyncio.to_thread(os.utime, copy.fileno(), times)

    def _needed(self) -> Bucket:
        if self._bucket is None:
            raise BucketUnavailable("the setting archive_url is not there any more")
        return self._bucket


def _copy_name(task_id: int, name: str) -> str:
    return f"{task_id}/{name}"


@contextlib.contextmanager
def _told_to_callers(task_id: int) -> Iterator[None]:
    try:
        yield
    except BucketUnavailable as error:
        log.warning("archived files not fetched", task_id=task_id, error=str(error))
        raise errors.Unavailable(
            f"What job {task_id} left behind is in object storage, which can't be reached now; "
            "try again later.",
            reason="ARCHIVE_UNAVAILABLE",
        ) from error
    except ObjectMissing as error:
        log.error("archived file missing", task_id=task_id, error=str(error))
        raise errors.Unavailable(
            f"Something that job {task_id} left behind is missing from object storage; tell an "
            "administrator, or submit the job again.",
            reason="ARCHIVED_FILE_MISSING",
        ) from error
    except (CacheFull, OSError) as error:
        log.error("archived files not kept", task_id=task_id, error=str(error))
        raise errors.Unavailable(
            f"The service has no room now for a copy of what job {task_id} left behind; try again "
            "later.",
            reason="CACHE_FULL",
        ) from error
