"""What a server does at its start with what an earlier one left: jobs, sessions, runners."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from entrance_server.domain.job import Job, SessionRecord
from entrance_server.domain.status import JobStatus
from entrance_server.engines.failures import SessionLost, SessionRefused
from entrance_server.engines.pool import SessionPool
from entrance_server.engines.runners import Launcher
from entrance_server.engines.session import EngineSession, SessionKey
from entrance_server.logs import LogStore
from entrance_server.machine import machine_name
from entrance_server.results import ResultFiles, ResultUnavailable
from entrance_server.service.dispatch import Dispatcher
from entrance_server.service.durable import durably
from entrance_server.service.execution import Executor
from entrance_server.service.live import LiveJob, LiveJobs
from entrance_server.service.runs import run_id_of
from entrance_server.store.port import Inheritance, LeaseLost, Store
from entrance_server.tenure import Tenure

log = structlog.get_logger(__name__)


class Recovery:
    """Attaches to the runs that go on, queues what waited, ends what was lost."""

    def __init__(
        self,
        *,
        instance: str,
        tenure: Tenure,
        store: Store,
        live: LiveJobs,
        logs: LogStore,
        dispatcher: Dispatcher,
        executor: Executor,
        pool: SessionPool,
        launcher: Launcher,
        results: ResultFiles,
    ) -> None:
        self._instance = instance
        self._tenure = tenure
        self._store = store
        self._live = live
        self._logs = logs
        self._dispatcher = dispatcher
        self._executor = executor
        self._pool = pool
        self._launcher = launcher
        self._results = results

    async def recover(self) -> None:
        """Called once, before the server answers its first call."""
        known = await self._store.list_sessions()
        records = [record for record in known if record.owner == self._instance]
        jobs = await self._store.unfinished_jobs(self._instance)
        await self._go_on(jobs, records)
        await self._end_strays({record.session_id for record in known})
        await self._remove_staging()
        log.info("recovered", jobs=len(jobs), sessions=len(records))

    async def inherit(self, found: Inheritance) -> None:
        """Goes on with what a server had that is gone."""
        for job in found.jobs:
            await durably(lambda job=job: self._logs.take_over(job.task_id))  # type: ignore[misc]
        await self._go_on(found.jobs, found.sessions)

    async def _go_on(self, jobs: Sequence[Job], records: Sequence[SessionRecord]) -> None:
        running = {job.session_id: job for job in jobs if job.status is JobStatus.RUNNING}
        resumed: set[int] = set()  # such a job may end at any moment from then on
        async with asyncio.TaskGroup() as tasks:  # one that does not answer holds up no other
            for record in records:
                job = running.get(record.session_id)
                tasks.create_task(self._try_session(record, job, resumed))
        for job in jobs:
            if job.task_id not in resumed:
                await self._recover_job(job)

    async def _try_session(self, record: SessionRecord, job: Job | None, resumed: set[int]) -> None:
        try:
            await self._recover_session(record, job, resumed)
        except LeaseLost:
            raise
        except Exception:  # an error of one must not strand the jobs of the others
            log.exception("session not recovered", session=record.session_id)

    async def _recover_session(
        self, record: SessionRecord, job: Job | None, resumed: set[int]
    ) -> None:
        key = SessionKey(record.group, record.options, record.only_for)
        if record.host not in ("", machine_name()):
            await durably(lambda: self._store.remove_session(record.session_id))
            return  # no process here is that runner; there it ends by itself when nobody asks
        runner = self._launcher.attach(record)
        session = EngineSession(runner, key=key, tenure=self._tenure)
        if job is not None and runner.is_alive():
            self._pool.adopt(session, busy=True)
            self._dispatcher.resume_run(self._live.add(job), session)
            resumed.add(job.task_id)
            return
        if job is None and record.only_for is None and await _is_idle(session):
            self._pool.adopt(session, busy=False)
            return
        await self._pool.discard(session)

    async def _recover_job(self, job: Job) -> None:
        match job.status:
            case JobStatus.RUNNING:
                await self._recover_lost(self._live.add(job))
            case _:
                # a scheduled one had not begun, since Running is stored before that
                self._dispatcher.accept(self._live.add(job))

    async def _recover_lost(self, live: LiveJob) -> None:
        await self._executor.fail_lost(live)
        if not live.job.status.is_final:
            self._dispatcher.accept(live)

    async def _remove_staging(self) -> None:
        """Removes what runs that are over left; the next start does it where this one can't."""
        try:
            staged = await self._results.staged()
            # asked after that, since another server of this store may just have begun a run
            going_on = {run_id_of(job) for job in await self._store.unfinished_jobs()}
            for run_id in staged - going_on:
                await self._results.remove_staging(run_id)
        except ResultUnavailable as error:
            log.warning("directories of runs not removed", error=str(error))

    async def _end_strays(self, known: set[str]) -> None:
        """Ends warm runners of an earlier server, which no store knows."""
        for session_id in await self._launcher.found() - known:
            await self._launcher.end_stray(session_id)


async def _is_idle(session: EngineSession) -> bool:
    if not session.runner.is_alive():
        return False
    try:
        state = await session.describe()
    except (SessionLost, SessionRefused):
        return False
    return state.session_id == session.session_id and not state.run_id
