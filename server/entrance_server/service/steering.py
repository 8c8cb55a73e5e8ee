"""Ends, freezes and releases jobs, whether they wait or run."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine

import structlog

from entrance_server.domain import errors
from entrance_server.domain.job import Job
from entrance_server.domain.status import ACTIVE, JobStatus
from entrance_server.engines.failures import SessionLost, SessionRefused
from entrance_server.engines.session import EngineSession
from entrance_server.logs import LogUnavailable
from entrance_server.service.job_log import JobLog
from entrance_server.service.jobs import Jobs, being_ended, ended
from entrance_server.service.live import LiveJob
from entrance_server.service.runs import ActiveRun, ActiveRuns, Stop
from entrance_server.store.port import Store, TransitionRefused

log = structlog.get_logger(__name__)

BEFORE_RUN = ACTIVE - {JobStatus.RUNNING}
KILL_MARGIN = 10.0  # seconds beyond the grace period until a runner that does not answer is ended


class Steering:
    """Changes the course of a job."""

    def __init__(
        self, *, jobs: Jobs, store: Store, job_log: JobLog, runs: ActiveRuns, kill_grace: float
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._job_log = job_log
        self._runs = runs
        self._kill_grace = kill_grace

    async def stop(
        self, live: LiveJob, stop: Stop, *, within: Collection[JobStatus] = ACTIVE
    ) -> None:
        """Ends a job, unless it leaves some states before; returns when it has done either."""
        while live.job.status in within:
            run = self._runs.of(live)
            session = run and run.running_in
            if run and session:
                await self._stop_run(run, session, stop)
            else:
                await self._stop_before_run(live, stop)

    async def set_paused(self, live: LiveJob, paused: bool) -> None:
        """Holds or freezes a job, or undoes it.

        Raises:
            WrongState: it has ended, or is being ended.
            Unavailable: the engine does not answer.
        """
        async with live.course:
            run = self._runs.of(live)
            if run and run.stop:
                raise being_ended(live.job)
            if live.job.paused != paused:
                await self._store_paused(live, paused)
            # also when nothing changed: the engine may not have taken the last change
            session = run and run.running_in
            if run and session:
                await self.apply_pause(run, session)

    async def apply_pause(self, run: ActiveRun, session: EngineSession) -> None:
        """Makes a running job be frozen or not, as it should be.

        Raises:
            Unavailable: the engine does not answer.
        """
        job = run.live.job
        try:
            await (session.pause(run.run_id) if job.paused else session.resume(run.run_id))
        except (SessionLost, SessionRefused) as error:
            word = "pause" if job.paused else "resume"
            raise errors.Unavailable(
                f"The engine did not {word} job {job.task_id}: {error}. Try again."
            ) from None

    async def _stop_before_run(self, live: LiveJob, stop: Stop) -> None:
        seen = live.job_changes.revision
        try:
            async with live.course:
                await self._begin_log(live.job)  # an ended job's log begins no more
                job = await self._jobs.transition(
                    live, stop.status, expect=BEFORE_RUN, error=stop.error
                )
                await self._show(live, job, self._job_log.end_of_try(job, "WARN", stop.text))
        except TransitionRefused:
            # it has begun to run, or ended; who did that shows it in a moment
            await live.job_changes.beyond(seen)

    async def _stop_run(self, run: ActiveRun, session: EngineSession, stop: Stop) -> None:
        run.stop = run.stop or stop
        try:
            async with asyncio.timeout(self._kill_grace + KILL_MARGIN):
                await session.interrupt(run.run_id, grace=self._kill_grace)
                await _over(run)
        except (TimeoutError, SessionLost, SessionRefused):
            # the runner does not do it, so its whole tree goes; the broken stream then ends the run
            if not run.is_over:  # or the session could be another job's by now
                session.kill()
            await _over(run)

    async def _store_paused(self, live: LiveJob, paused: bool) -> None:
        try:
            job = await self._store.set_paused(live.job.task_id, paused)
        except TransitionRefused as refused:
            raise ended(refused.job) from None
        text = f"Your job is {'paused' if paused else 'resumed'}."
        await self._show(live, job, self._job_log.line(job, "INFO", text))

    async def _begin_log(self, job: Job) -> None:
        """Lets the log have its first lines, if it can."""
        try:
            await self._job_log.begin(job)
        except LogUnavailable as error:
            log.warning("log not begun", task_id=job.task_id, error=str(error))

    async def _show(self, live: LiveJob, job: Job, line: Coroutine[None, None, None]) -> None:
        """Shows what is durable already, after its line, or without it when the log is away."""
        try:
            await line
        except LogUnavailable as error:
            log.warning("log line not written", task_id=job.task_id, error=str(error))
        self._jobs.publish(live, job)


async def _over(run: ActiveRun) -> None:
    """Waits for the end of a try, which may not be the job's."""
    revision, live = 0, run.live
    while live.job.status is JobStatus.RUNNING and live.job.attempt == run.attempt:
        revision = await live.job_changes.beyond(revision)
