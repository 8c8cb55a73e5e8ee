"""Drives one try of a job from its turn to its end: a session, a run, its events, its outcome."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import structlog

from entrance.engine.v1 import engine_pb2 as pb
from entrance_server.domain import errors
from entrance_server.domain.job import Job, JobError
from entrance_server.domain.run_policy import RunPolicies
from entrance_server.domain.status import JobStatus
from entrance_server.engines.failures import SessionLost, SessionRefused
from entrance_server.engines.pool import SessionPool
from entrance_server.engines.registry import EngineRegistry
from entrance_server.engines.runners import Squeezed
from entrance_server.engines.session import EngineSession, SessionKey
from entrance_server.logs import LogStore
from entrance_server.results import ResultFiles
from entrance_server.service import events
from entrance_server.service.durable import durably
from entrance_server.service.endings import Endings
from entrance_server.service.group_places import GroupPlaces
from entrance_server.service.intake import Intake
from entrance_server.service.job_log import JobLog
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJob
from entrance_server.service.retries import ENGINE_LOST, ENGINE_REFUSED
from entrance_server.service.runs import ActiveRun, ActiveRuns
from entrance_server.service.steering import Steering
from entrance_server.store.port import GroupFull, TransitionRefused

log = structlog.get_logger(__name__)

INTERNAL = 40_999  # an error of the service itself

SESSION_TRIES = 3
REACH_TIMEOUT = 30.0  # seconds for a runner that lives to take a run
REACH_INTERVAL = 0.2  # seconds


class Executor:
    """Runs jobs whose turn has come."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        logs: LogStore,
        results: ResultFiles,
        pool: SessionPool,
        engines: EngineRegistry,
        job_log: JobLog,
        policies: RunPolicies,
        runs: ActiveRuns,
        intake: Intake,
        endings: Endings,
        steering: Steering,
        places: GroupPlaces,
    ) -> None:
        self._jobs = jobs
        self._places = places
        self._logs = logs
        self._results = results
        self._pool = pool
        self._engines = engines
        self._job_log = job_log
        self._policies = policies
        self._runs = runs
        self._intake = intake
        self._endings = endings
        self._steering = steering

    async def execute(self, live: LiveJob, *, session: EngineSession | None = None) -> None:
        """Takes a job to its end, or to the wait for its next try.

        Args:
            live: The job, whose turn has come.
            session: The session that it runs in already, for one found again after a restart.

        Raises:
            GroupFull: it waits still, since as many of its group run on all servers as may.
        """
        with self._runs.begun(live) as run:
            try:
                if session is None:
                    session = await self._start(run)
                else:
                    await self._attach(run, session)
                await self._continue(run, session)
            except GroupFull:
                raise
            except TransitionRefused as refused:
                # it ended while this was on its way, by a kill
                self._jobs.publish(live, refused.job)
            except SessionLost as lost:
                await self._fail(run, ENGINE_LOST, f"the engine was lost: {lost}")
            except SessionRefused as refused:
                await self._fail(run, ENGINE_REFUSED, f"the engine did not take the job: {refused}")
            except Exception:
                log.exception("job failed by an internal error", task_id=live.job.task_id)
                await self._fail(
                    run, INTERNAL, "an internal error of the service; its own log tells more"
                )
            await self._tidy(run)

    async def fail_lost(self, live: LiveJob) -> None:
        """Ends the try of a job whose runner went away while no server watched it."""
        await self._fail(
            ActiveRun(live), ENGINE_LOST, "the engine was lost while the service was down"
        )

    async def _start(self, run: ActiveRun) -> EngineSession:
        live = run.live
        if live.job.status is JobStatus.SCHEDULED and await self._intake.has_end(run):
            # an earlier server wrote the last line, and was gone before the state was stored
            raise SessionLost("the service was stopped as it told why this try had failed")
        # one that is there saves a step of the job, which is a commit
        session = await self._pool.take_idle(self._session_key(live.job))
        if session is None:
            await self._take_place(live)
        await durably(lambda: self._begin_log(live))
        while session is None or not await self._begin_in(run, session):
            await self._take_place(live)
            await _until_resumed(live)  # without a session, which others may have meanwhile
            session = await self._acquire(live)
        return session

    async def _begin_log(self, live: LiveJob) -> None:
        """Sees that the log can be written, as long as the job can still be killed without it."""
        async with live.course:
            if not live.job.status.is_final:  # followers have seen the end of the log by then
                await self._job_log.begin(live.job)

    async def _take_place(self, live: LiveJob) -> None:
        if live.job.status is not JobStatus.SCHEDULED:  # as an earlier server left it
            async with live.course:  # what others store and show meanwhile is not of before it
                self._jobs.publish(live, await durably(lambda: self._places.take(live.job)))

    async def _begin_in(self, run: ActiveRun, session: EngineSession) -> bool:
        """Whether the run has begun there; it has not when the job was paused meanwhile."""
        try:
            has_begun = await self._begin(run, session)
        except (TransitionRefused, GroupFull):
            await self._pool.give_back(session)
            raise
        except Exception:
            await self._pool.discard(session)
            raise
        if not has_begun:
            await self._pool.give_back(session)
        return has_begun

    async def _acquire(self, live: LiveJob) -> EngineSession:
        """A session for the job; another one when it is lost, since nothing of the job has run."""
        task_id, key = live.job.task_id, self._session_key(live.job)
        squeezed = self._telling_once(live)
        for _ in range(SESSION_TRIES - 1):
            try:
                return await durably(lambda: self._pool.acquire(key, squeezed=squeezed))
            except SessionLost as lost:
                log.warning("session lost before its use", task_id=task_id, error=str(lost))
        return await durably(lambda: self._pool.acquire(key, squeezed=squeezed))

    def _telling_once(self, live: LiveJob) -> Squeezed:
        """Tells in the job's log that it waits for room, until the job has ended."""
        told = False

        async def squeezed(text: str) -> None:
            nonlocal told
            async with live.course:
                if live.job.status.is_final:
                    raise TransitionRefused(live.job)
                if not told:
                    told = True
                    await self._job_log.line(live.job, "INFO", text)

        return squeezed

    def _session_key(self, job: Job) -> SessionKey:
        spec = job.spec
        once = self._policies.of(spec.labels).execute_once
        options = self._engines.effective(spec.engine_type, "startup", spec.params.startup)
        return SessionKey(spec.group, options, only_for=job.task_id if once else None)

    async def _begin(self, run: ActiveRun, session: EngineSession) -> bool:
        async with run.live.course:
            if run.live.job.paused:
                return False
            job = await durably(lambda: self._make_running(run.live, session))
            await self._tell_begin(job)
            await self._reach(run, session)
            run.session = session
            self._jobs.publish(run.live, job)
            return True

    async def _make_running(self, live: LiveJob, session: EngineSession) -> Job:
        if live.job.status is JobStatus.SCHEDULED:
            return await self._jobs.transition(
                live,
                JobStatus.RUNNING,
                expect={JobStatus.SCHEDULED},
                session_id=session.session_id,
            )
        return await self._places.take(live.job, session_id=session.session_id)

    async def _tell_begin(self, job: Job) -> None:
        tries = self._policies.of(job.spec.labels).tries
        which = f", try {job.attempt} of {tries}" if max(tries, job.attempt) > 1 else ""
        text = f"Your job runs in session {job.session_id}{which}."
        await durably(lambda: self._job_log.line(job, "INFO", text))

    async def _reach(self, run: ActiveRun, session: EngineSession) -> None:
        """Sends the run, again while the runner lives and does not answer: it may be frozen."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + REACH_TIMEOUT
        while True:
            try:
                return await self._send(run, session)
            except SessionLost:
                if not session.runner.is_alive() or clock() > deadline:
                    raise
            await asyncio.sleep(REACH_INTERVAL)

    async def _send(self, run: ActiveRun, session: EngineSession) -> None:
        spec = run.live.job.spec
        await session.run(
            run.run_id,
            code=spec.runnable_code,
            run_type=spec.run_type,
            result_directory=await self._result_directory(run),
            options=self._engines.effective(spec.engine_type, "runtime", spec.params.runtime),
        )

    async def _result_directory(self, run: ActiveRun) -> Path | None:
        if not self._engines.has_results(run.live.job.spec.engine_type):
            return None
        return await durably(lambda: self._results.make_staging(run.run_id))

    async def _attach(self, run: ActiveRun, session: EngineSession) -> None:
        """Takes over a run that an earlier server began, or was about to begin."""
        try:
            await self._reach(run, session)
            async with run.live.course:
                run.session = session
                await self._steering.apply_pause(run, session)
        except errors.Unavailable as error:
            await self._pool.discard(session)
            raise SessionLost(error.message) from None
        except Exception:
            await self._pool.discard(session)
            raise
        self._jobs.publish(run.live, run.live.job)  # whoever waits for the session to be known

    async def _continue(self, run: ActiveRun, session: EngineSession) -> None:
        """Follows a run that has begun, to its end and past it."""
        try:
            job, usable = await self._follow(run, session)
        except SessionLost as lost:
            status = await self._pool.discard(session)
            raise SessionLost(events.exit_sentence(status) or str(lost)) from None
        except Exception:
            await self._pool.discard(session)
            raise
        if usable:
            # free before anybody can see the end, so that a next job finds it
            await self._pool.give_back(session)
        self._jobs.publish(run.live, job)
        if not usable:
            await self._pool.discard(session)

    async def _tidy(self, run: ActiveRun) -> None:
        if self._engines.has_results(run.live.job.spec.engine_type):
            await durably(lambda: self._results.remove_staging(run.run_id))
        await durably(lambda: self._logs.close(run.live.job.task_id))

    async def _follow(self, run: ActiveRun, session: EngineSession) -> tuple[Job, bool]:
        """The job after the run, and whether the session can take another one."""
        durable = await self._intake.durable_seq(run)
        ended: tuple[Job, pb.EndEvent] | None = None
        try:
            # from the last durable event on: should that be the end, the run is not over before it
            stream = session.events(run.run_id, after_seq=max(durable - 1, 0))
            async with aclosing(stream) as batches:
                async for batch in batches:
                    last = batch[-1]
                    await self._intake.take(run, batch, after=durable)
                    if last.HasField("end"):
                        ended = await self._reported(run, last), last.end
        except SessionLost:
            if ended is None:
                raise
        if ended is None:
            raise SessionLost("the runner told no end of the run")
        job, end = ended
        return job, end.session_usable and session.runner.is_alive()

    async def _reported(self, run: ActiveRun, event: pb.Event) -> Job:
        async with run.live.course:
            return await self._endings.reported(run, event.end, seq=event.seq)

    async def _fail(self, run: ActiveRun, code: int, message: str) -> None:
        if run.is_over:  # what failed came after the end that everybody has seen
            return
        try:
            async with run.live.course:
                job = await self._endings.failed(run, JobError(code, message))
        except TransitionRefused as refused:
            job = refused.job
        self._jobs.publish(run.live, job)


async def _until_resumed(live: LiveJob) -> None:
    """Waits while a job is paused.

    Raises:
        TransitionRefused: it has ended.
    """
    revision = 0
    while live.job.paused and not live.job.status.is_final:
        revision = await live.job_changes.beyond(revision)
    if live.job.status.is_final:
        raise TransitionRefused(live.job)
