"""Submit: check, prepare, make durable, queue; only then is the call answered."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog

from entrance_server.domain import errors
from entrance_server.domain.job import Job, JobSpec, Principal
from entrance_server.preprocess import Dialect, PreprocessSettings, prepare, statements
from entrance_server.scheduling import QueueFull, Scheduler
from entrance_server.service.admission import Admission
from entrance_server.service.background import Background
from entrance_server.service.dispatch import Dispatcher
from entrance_server.service.job_log import utc_now
from entrance_server.service.live import LiveJobs
from entrance_server.service.requests import RequestParser
from entrance_server.service.views import PreviewView, SubmitCommand
from entrance_server.store.port import GroupFull, Store, StoreUnavailable

log = structlog.get_logger(__name__)

NOT_PERSISTED = 20052
SHORT_CODE = 256  # characters

log = structlog.get_logger(__name__)


class SubmitService:
    """Accepts jobs."""

    def __init__(
        self,
        *,
        instance: str,
        parser: RequestParser,
        preprocess: PreprocessSettings,
        store: Store,
        live: LiveJobs,
        admission: Admission,
        scheduler: Scheduler,
        dispatcher: Dispatcher,
        background: Background,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._instance = instance
        self._parser = parser
        self._preprocess = preprocess
        self._store = store
        self._live = live
        self._admission = admission
        self._scheduler = scheduler
        self._dispatcher = dispatcher
        self._background = background
        self._clock = clock

    async def submit(self, principal: Principal, command: SubmitCommand) -> Job:
        """Makes a job of a call; the same request id and body give the same job.

        Raises:
            InvalidRequest: something in it is wrong; nothing was changed.
            PermissionDenied: the caller may not submit for that user.
            RequestIdReused: the request id was used with another body.
            Exhausted: the group's queue is full, or there is too little disk.
            Unavailable: the server takes no jobs now, or the job could not be made durable.
        """
        spec = await self._prepared(await self._parsed(principal, command))
        try:
            self._admission.check()
            self._scheduler.reserve(spec.group)
        except (errors.Unavailable, errors.Exhausted) as refused:
            return await self._made_before(spec, refused)
        try:
            return await self._background.finish(self._accept(spec))
        except QueueFull as refused:
            return await self._made_before(spec, refused)

    async def preview(self, principal: Principal, command: SubmitCommand) -> PreviewView:
        """What would run; nothing is run or kept.

        Raises:
            InvalidRequest, PermissionDenied: as `submit`.
        """
        spec = await self._prepared(await self._parsed(principal, command))
        dialect, sql_dialect = dialect_of(spec)
        parts = await asyncio.to_thread(
            statements, spec.runnable_code, dialect=dialect, sql_dialect=sql_dialect
        )
        return PreviewView(spec.runnable_code, parts, spec.notes)

    async def _parsed(self, principal: Principal, command: SubmitCommand) -> JobSpec:
        spec = self._parser.parse(principal, command)
        if spec.execute_user != principal.user:
            user = await self._store.get_user(spec.execute_user)
            if user is not None and user.disabled:
                raise errors.PermissionDenied(
                    f"The user {user.name} is disabled; nothing runs as him until he is enabled.",
                    reason="USER_DISABLED",
                )
        return spec

    async def _prepared(self, spec: JobSpec) -> JobSpec:
        dialect, sql_dialect = dialect_of(spec)
        work = partial(
            prepare,
            spec.code,
            dialect=dialect,
            sql_dialect=sql_dialect,
            variables=spec.params.variable,
            user=spec.execute_user,
            submit_user=spec.submit_user,
            now=self._clock(),
            settings=self._preprocess,
        )
        # large code takes a second, and short code less than the way to a thread and back
        is_short = dialect != "sql" and len(spec.code) <= SHORT_CODE
        prepared = work() if is_short else await asyncio.to_thread(work)
        notes = (*self._parser.notes(spec), *prepared.notes)
        if prepared.code == spec.code:
            return dataclasses.replace(spec, notes=notes) if notes else spec
        return dataclasses.replace(spec, prepared_code=prepared.code, notes=notes)

    async def _made_before(self, spec: JobSpec, refused: errors.EntranceError) -> Job:
        """The job that the same request made before, or else the error."""
        made_before = await self._store.find_request(spec) if spec.request_id else None
        if made_before is None:
            raise refused
        return self._as_it_is(made_before)

    async def _accept(self, spec: JobSpec) -> Job:
        limits = self._scheduler.limits_of(spec.group)
        try:
            job, is_new = await self._store.create_job(spec, instance=self._instance, limits=limits)
        except GroupFull:
            self._scheduler.cancel_reservation(spec.group)
            raise QueueFull(spec.group, limits) from None
        except StoreUnavailable as error:
            self._scheduler.cancel_reservation(spec.group)
            log.warning("job not made durable", error=str(error))
            raise errors.Unavailable(
                "The job could not be made durable, since the service can't reach its storage now; "
                "submit again later.",
                reason="NOT_PERSISTED",
                err_code=NOT_PERSISTED,
            ) from None
        except BaseException:
            self._scheduler.cancel_reservation(spec.group)
            raise
        if not is_new:
            self._scheduler.cancel_reservation(spec.group)
            return self._as_it_is(job)
        self._dispatcher.accept(self._live.add(job), reserved=True)
        return job

    def _as_it_is(self, job: Job) -> Job:
        live = self._live.get(job.task_id)
        return live.job if live else job


def dialect_of(spec: JobSpec) -> tuple[Dialect, str | None]:
    """Which rules of preprocessing hold for a job, and the parser's name of its SQL."""
    match spec.run_type:
        case "sql":
            return "sql", spec.engine_type
        case "python" | "py":
            return "python", None
        case "shell" | "sh":
            return "shell", None
        case _:
            return "other", None
