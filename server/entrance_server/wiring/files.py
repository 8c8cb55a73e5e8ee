"""Logs and results of jobs: where they are, for how long, and what is in object storage."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from entrance_server.archive import BucketRefused, BucketUnavailable, Cache
from entrance_server.config import ServerSettings
from entrance_server.logs import Head, LogStore
from entrance_server.results import Exports, ResultFiles
from entrance_server.service.archived import ArchivedFiles
from entrance_server.service.archivist import Archivist
from entrance_server.service.background import Background
from entrance_server.service.disk_guard import DiskGuard
from entrance_server.service.job_log import first_lines
from entrance_server.service.live import LiveJobs
from entrance_server.service.retention import Retention
from entrance_server.wiring.base import Base, StartError

if TYPE_CHECKING:  # it needs the extra `s3`
    from entrance_server.archive.bucket import Bucket

ARCHIVE_CHECK = 20.0  # seconds that object storage has to answer before the server starts without

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Files:
    """What jobs write, and what is read of it."""

    root: Path
    logs: LogStore
    results: ResultFiles
    exports: Exports
    archived: ArchivedFiles
    bucket: Bucket | None


async def wire_files(base: Base, live: LiveJobs) -> Files:
    """Opens the files of jobs, those in object storage too.

    Raises:
        StartError: object storage is not there as the settings want it.
    """
    settings, stack = base.settings, base.stack
    root = settings.files_dir / "jobs"
    bucket = await _bucket(settings)
    archived = await _archived(base, live, bucket)
    logs = LogStore(root, elsewhere=archived, head=partial(_head, live), tenure=base.tenure)
    stack.push_async_callback(logs.aclose)
    results = ResultFiles(root, elsewhere=archived, tenure=base.tenure)
    stack.push_async_callback(results.aclose)
    exports = await stack.enter_async_context(Exports(results, settings.data_dir / "exports"))
    return Files(root, logs, results, exports, archived, bucket)


async def keep_files(base: Base, files: Files, live: LiveJobs) -> DiskGuard:
    """From here on removes what is too old or too much, and moves it to object storage before.

    Returns:
        What knows whether there is room for new jobs.
    """
    settings, stack = base.settings, base.stack
    await stack.enter_async_context(
        Retention(
            ledger=base.store,
            live=live,
            logs=files.logs,
            root=files.root,
            aside=settings.files_dir / "orphaned",
            instance=base.instance,
            rules=settings.retention,
            archived=files.archived,
            clock=base.clock,
            not_before=base.clock.trusted_from,
        )
    )
    disk = await stack.enter_async_context(
        DiskGuard(settings.files_dir, min_free=settings.min_free_bytes)
    )
    if files.bucket is not None:
        await stack.enter_async_context(
            Archivist(
                ledger=base.store,
                bucket=files.bucket,
                archived=files.archived,
                logs=files.logs,
                disk=disk,
                root=files.root,
                instance=base.instance,
                rules=settings.archive_rules,
                clock=base.clock,
            )
        )
    return disk


def _head(live: LiveJobs, task_id: int) -> Head | None:
    """How a job's log begins; that of an ended one has begun."""
    found = live.get(task_id)
    return None if found is None else partial(first_lines, found.job)


async def _archived(base: Base, live: LiveJobs, bucket: Bucket | None) -> ArchivedFiles:
    """What ended jobs have in object storage; also where there is none now, but was before."""
    settings = base.settings
    cache = await base.stack.enter_async_context(
        Cache(
            settings.data_dir / "cache",
            max_bytes=settings.archive_cache_bytes,
            min_free=settings.min_free_bytes,
        )
    )
    # what is on its way ends with the server: nobody waits for it any more
    background = await base.stack.enter_async_context(Background(within=0))
    return ArchivedFiles(
        ledger=base.store, bucket=bucket, cache=cache, live=live, background=background
    )


async def _bucket(settings: ServerSettings) -> Bucket | None:
    """Object storage, unless there is none; the server starts while it is only away."""
    place = settings.archive
    if place is None:
        return None
    try:
        from entrance_server.archive.bucket import Bucket
    except ImportError:
        raise StartError(
            "archive_url needs the extra s3: install entrance[server,s3], or leave it out."
        ) from None
    bucket = Bucket(place)
    try:
        async with asyncio.timeout(ARCHIVE_CHECK):
            await bucket.check()
    except BucketRefused as error:
        raise StartError(str(error)) from None
    except (BucketUnavailable, TimeoutError) as error:
        log.warning("object storage is away", place=str(place), error=str(error))
    return bucket
