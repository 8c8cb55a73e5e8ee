"""What became of jobs, found by their ids or listed by page number, as consoles do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from entrance_server.domain import errors
from entrance_server.domain.job import Job, Principal
from entrance_server.service import page_tokens
from entrance_server.service.job_log import utc_now
from entrance_server.service.jobs import Jobs
from entrance_server.store.port import JobFilter, Store

DEFAULT_TASKS = 20
MAX_TASKS = 1_000


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which jobs to list: the caller's, unless an administrator names a user or wants everybody's.

    Pages are counted from 1; 0 stands for the first one, and for the usual size.
    """

    where: JobFilter
    page: int = 1
    page_size: int = 0
    user: str = ""
    everybody: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A job with the time that it took, or has taken so far."""

    job: Job
    cost: timedelta


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of jobs, and how many there are in all pages."""

    tasks: Sequence[Task]
    total: int


class HistoryService:
    """Tells about jobs, running and ended."""

    def __init__(
        self, *, jobs: Jobs, store: Store, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._clock = clock

    async def get_task(self, principal: Principal, id: str) -> Task:
        """One job.

        Raises:
            InvalidRequest: the id is malformed.
            NotFound: it names no job, or somebody else's.
        """
        try:
            job = await self._jobs.find(principal, id)
        except errors.PermissionDenied as denied:
            raise errors.NotFound(denied.message) from None
        return self._task(job)

    async def list_tasks(self, principal: Principal, query: TaskQuery) -> TaskPage:
        """A page of jobs, newest first.

        Raises:
            InvalidRequest: the page or its size is negative.
            PermissionDenied: another user's jobs are asked for.
        """
        where = dataclasses.replace(query.where, execute_user=_user(principal, query))
        size = page_tokens.size(query.page_size, default=DEFAULT_TASKS, most=MAX_TASKS)
        offset = (_page(query.page) - 1) * size
        jobs = await self._store.list_jobs(where, limit=size, offset=offset)
        total = await self._store.count_jobs(where)
        return TaskPage([self._task(self._jobs.as_shown(job)) for job in jobs], total)

    def _task(self, job: Job) -> Task:
        return Task(job, (job.end_time or self._clock()) - job.create_time)


def _user(principal: Principal, query: TaskQuery) -> str | None:
    """Whose jobs are listed; None for everybody's."""
    user = query.user or principal.user
    if user != principal.user and not principal.is_admin:
        raise errors.PermissionDenied(
            "Only an administrator may list jobs of others; leave proxyUser out to list those of "
            f"{principal.user}."
        )
    return None if principal.is_admin and query.everybody and not query.user else user


def _page(page: int) -> int:
    if page < 0:
        raise errors.InvalidRequest(
            f"pageNow is {page}; send the number of a page, counted from 1.",
            reason="NEGATIVE_PAGE",
            violations=[errors.FieldViolation("pageNow", "must not be negative")],
        )
    return max(page, 1)
