"""Reads jobs, their progress and their logs, once or as a stream."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Sequence

from entrance_server.domain import errors
from entrance_server.domain.job import Job, Principal
from entrance_server.engines.registry import EngineRegistry
from entrance_server.logs import LogSlice, LogStore, levels
from entrance_server.logs.levels import LogLevel
from entrance_server.service import page_tokens
from entrance_server.service.jobs import Jobs, require_files
from entrance_server.service.views import EngineView, JobPage, LogBatch, LogPage, ProgressView
from entrance_server.store.port import JobFilter, Store

DEFAULT_LINES = 100
MAX_LINES = 10_000
MAX_LOG_BYTES = 1024 * 1024  # split by level it is sent twice
STREAM_BYTES = 256 * 1024
DEFAULT_JOBS = 50
MAX_JOBS = 1_000
NO_POSITION = 2**63 - 1


class ObserveService:
    """Answers what a job is, how far it is, and what it has logged."""

    def __init__(
        self, *, jobs: Jobs, store: Store, logs: LogStore, engines: EngineRegistry
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._logs = logs
        self._engines = engines

    async def get_job(self, principal: Principal, id: str, *, task_id: int = 0) -> Job:
        """A job as it is now.

        Raises:
            InvalidRequest, NotFound, PermissionDenied: as Jobs.find, here and in all below.
        """
        return await self._jobs.find(principal, id, task_id=task_id)

    async def progress(self, principal: Principal, id: str) -> ProgressView:
        """How far a job is and what it uses."""
        return self._jobs.live(await self._jobs.find(principal, id)).view()

    async def log(
        self,
        principal: Principal,
        id: str,
        *,
        from_line: int,
        size: int | None,
        distinct_level: bool,
    ) -> LogPage:
        """Lines of a log; a start past the end gives none and is what the next call sends again.

        Raises:
            Removed: the log was removed.
        """
        job = await self._jobs.find(principal, id)
        require_files(job, "log")
        first = max(from_line, 1)
        wanted = DEFAULT_LINES if size is None else MAX_LINES if size < 0 else min(size, MAX_LINES)
        part = await self._logs.read(job.task_id, first, max_lines=wanted, max_bytes=MAX_LOG_BYTES)
        text = part.text.decode()
        log = levels.split_four(text) if distinct_level else (text.removesuffix("\n"),)
        return LogPage(job, first + part.line_count, log)

    async def stream_log(
        self, principal: Principal, id: str, *, from_line: int, levels: frozenset[LogLevel]
    ) -> AsyncGenerator[LogBatch, None]:
        """The log from a line on, until the job has ended and every line was given.

        Raises:
            Removed: the log was removed, perhaps while it was being read.
        """
        job = await self._jobs.find(principal, id)
        require_files(job, "log")
        live = self._jobs.live(job)
        line = max(from_line, 1)
        with self._logs.follow(job.task_id) as follower:
            while True:
                # read after this look, so that no line written before the end is missed
                final = live.job if live.job.status.is_final else None
                part = None if final else follower.appended(line)
                if part is None:
                    part = await self._logs.read_on(job.task_id, line, max_bytes=STREAM_BYTES)
                if part.line_count:
                    line += part.line_count
                    yield LogBatch(_select(part, levels), line)
                elif final is not None:
                    require_files(await self._jobs.find(principal, id), "log")
                    yield LogBatch((), line, final)
                    return
                else:
                    await follower.wait(line)

    async def stream_progress(
        self, principal: Principal, id: str
    ) -> AsyncGenerator[ProgressView, None]:
        """The progress now and after each change, until the job has ended."""
        live = self._jobs.live(await self._jobs.find(principal, id))
        while True:
            revision = live.progress_changes.revision
            view = live.view()
            yield view
            if view.job.status.is_final:
                return
            await live.progress_changes.beyond(revision)

    async def watch(self, principal: Principal, id: str) -> AsyncGenerator[Job, None]:
        """The job now and after each change, until it has ended."""
        live = self._jobs.live(await self._jobs.find(principal, id))
        while True:
            revision = live.job_changes.revision
            job = live.job
            yield job
            if job.status.is_final:
                return
            await live.job_changes.beyond(revision)

    async def list_jobs(
        self, principal: Principal, where: JobFilter, *, page_size: int, page_token: str
    ) -> JobPage:
        """A page of jobs, newest first: the caller's own, or all for an administrator.

        Raises:
            InvalidRequest: the page size is negative, or the token is of another query.
            PermissionDenied: another user's jobs are asked for.
        """
        if not principal.is_admin:
            if where.execute_user not in (None, principal.user):
                raise errors.PermissionDenied(
                    "Only an administrator may list jobs of others; leave executeUser out to list "
                    f"those of {principal.user}."
                )
            where = dataclasses.replace(where, execute_user=principal.user)
        limit = page_tokens.size(page_size, default=DEFAULT_JOBS, most=MAX_JOBS)
        query = _query(where)
        before = page_tokens.decode(page_token, query, first=NO_POSITION)
        # one more than wanted tells whether there is a next page
        jobs = await self._store.list_jobs(where, limit=limit + 1, before_task_id=before)
        page = [self._jobs.as_shown(job) for job in jobs[:limit]]
        more = len(jobs) > limit
        return JobPage(page, page_tokens.encode(page[-1].task_id, query) if more else "")

    def engines(self) -> Sequence[EngineView]:
        """The engines of this installation."""
        return [
            EngineView(one.engine_type, one.version, one.run_types, one.description, one.parameters)
            for one in self._engines.list()
        ]


def _query(where: JobFilter) -> dict[str, object]:
    return dataclasses.asdict(where) | {"statuses": sorted(where.statuses)}


def _select(part: LogSlice, wanted: frozenset[LogLevel]) -> Sequence[levels.LogChunk]:
    chunks = levels.chunk(part.text, part.from_line, part.line_count)
    return [one for one in chunks if one.level in wanted] if wanted else chunks
