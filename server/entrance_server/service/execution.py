"""Drives one job from its turn to its end: a session, a run, its events, its final state."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

import structlog

from entrance.engine.v1 import engine_pb2 as pb
from entrance_server.domain import errors
from entrance_server.domain.job import Job, JobError
from entrance_server.domain.status import JobStatus
from entrance_server.engines.pool import SessionLost, SessionPool, SessionRefused
from entrance_server.engines.session import EngineSession
from entrance_server.logs import LogStore, LogUnavailable
from entrance_server.results import ResultFiles, ResultRejected, ResultUnavailable
from entrance_server.service import events
from entrance_server.service.job_log import JobLog
from entrance_server.service.jobs import Jobs, ended
from entrance_server.service.live import LiveJob
from entrance_server.store.port import Store, StoreUnavailable, TransitionRefused

log = structlog.get_logger(__name__)
Result = TypeVar("Result")

ENGINE_LOST = 40_900  # the engine's process or its runner went away
ENGINE_REFUSED = 40_901  # the engine did not start, or refused the run
INTERNAL = 40_999  # an error of the service itself

WAITING = frozenset({JobStatus.INITED, JobStatus.WAIT_FOR_RETRY})
BEFORE_RUN = WAITING | {JobStatus.SCHEDULED}
STARTED = frozenset({JobStatus.SCHEDULED, JobStatus.RUNNING})

RETRY_FIRST = 0.1  # seconds until a durable step is tried again
RETRY_MOST = 5.0  # seconds
KILL_MARGIN = 10.0  # seconds beyond the grace period until a runner that does not answer is ended


class ActiveRun:
    """A run that goes on: its session, and whether somebody has asked to end it."""

    def __init__(self, live: LiveJob) -> None:
        self.live = live
        self.session: EngineSession | None = None
        self.killed_by: str | None = None
        # start, pause and resume exclude each other
        self.lock = asyncio.Lock()

    @property
    def run_id(self) -> str:
        """Names the run for the runner: the job and the try."""
        return f"{self.live.job.task_id}-{self.live.job.attempt}"


class Executor:
    """Runs jobs whose turn has come, and controls those that run."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        store: Store,
        logs: LogStore,
        results: ResultFiles,
        pool: SessionPool,
        job_log: JobLog,
        kill_grace: float,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._logs = logs
        self._results = results
        self._pool = pool
        self._job_log = job_log
        self._kill_grace = kill_grace
        self._runs: dict[int, ActiveRun] = {}

    async def execute(self, live: LiveJob, *, session: EngineSession | None = None) -> None:
        """Takes a job to its end.

        Args:
            live: The job, whose turn has come.
            session: The session that it runs in already, for one found again after a restart.
        """
        run = ActiveRun(live)
        self._runs[live.job.task_id] = run
        try:
            if session is None:
                await self._start(run)
            else:
                await self._attach(run, session)
                await self._continue(run)
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
        finally:
            del self._runs[live.job.task_id]

    async def fail_lost(self, live: LiveJob) -> None:
        """Ends a job whose runner went away while no server watched it."""
        await self._fail(
            ActiveRun(live), ENGINE_LOST, "the engine was lost while the service was down"
        )

    async def kill(self, live: LiveJob, *, by: str) -> None:
        """Ends a job that waits or runs; returns when it has ended.

        Raises:
            WrongState: it ended otherwise before.
        """
        while not live.job.status.is_final:
            run = self._runs.get(live.job.task_id)
            if run is not None and run.session is not None and live.job.status is JobStatus.RUNNING:
                await self._kill_run(run, run.session, by)
            else:
                await self._kill_before_run(live, by)
        if live.job.status is not JobStatus.CANCELLED:
            raise ended(live.job)

    async def set_paused(self, live: LiveJob, paused: bool) -> None:
        """Holds or freezes a job, or undoes it.

        Raises:
            WrongState: it has ended.
            Unavailable: the engine does not answer.
        """
        run = self._runs.get(live.job.task_id)
        async with run.lock if run else contextlib.nullcontext():
            if live.job.paused == paused:
                return
            await self._store_paused(live, paused)
            if run and run.session is not None and live.job.status is JobStatus.RUNNING:
                await self._apply_pause(run, run.session, paused)

    async def _start(self, run: ActiveRun) -> None:
        live = run.live
        job = await self._durably(
            lambda: self._jobs.transition(live, JobStatus.SCHEDULED, expect=WAITING)
        )
        self._jobs.publish(live, job)
        await self._durably(lambda: self._job_log.accepted(job))
        session = await self._pool.acquire(job.spec.group, options=job.spec.params.startup)
        try:
            await self._begin(run, session)
        except TransitionRefused:
            self._pool.release(session)
            raise
        except SessionRefused:
            await self._pool.discard(session)
            raise
        await self._continue(run)

    async def _begin(self, run: ActiveRun, session: EngineSession) -> None:
        while True:
            await self._until_resumed(run.live)
            async with run.lock:
                if not run.live.job.paused:
                    job = await self._durably(
                        lambda: self._jobs.transition(
                            run.live,
                            JobStatus.RUNNING,
                            expect={JobStatus.SCHEDULED},
                            session_id=session.session_id,
                        )
                    )
                    await self._job_log.line(
                        job, "INFO", f"Your job runs in session {session.session_id}."
                    )
                    await self._send(job, run, session)
                    run.session = session
                    self._jobs.publish(run.live, job)
                    return

    async def _send(self, job: Job, run: ActiveRun, session: EngineSession) -> None:
        directory = await asyncio.to_thread(self._results.staging, job.task_id, run.run_id)
        await session.run(
            run.run_id,
            code=job.spec.runnable_code,
            run_type=job.spec.run_type,
            result_directory=directory,
            options=job.spec.params.runtime,
        )

    async def _attach(self, run: ActiveRun, session: EngineSession) -> None:
        """Takes over a run that an earlier server began, or was about to begin."""
        async with run.lock:
            await self._send(run.live.job, run, session)
            run.session = session
            await self._apply_pause(run, session, run.live.job.paused)

    async def _until_resumed(self, live: LiveJob) -> None:
        revision = 0
        while live.job.paused and not live.job.status.is_final:
            revision = await live.job_changes.beyond(revision)

    async def _continue(self, run: ActiveRun) -> None:
        """Follows the events of a run that has begun, to its end and past it."""
        session, live = run.session, run.live
        if session is None:
            raise ValueError("the run has no session")
        attempt, seq = await self._logs.mark(live.job.task_id)
        after = seq if attempt == live.job.attempt else 0
        end: pb.EndEvent | None = None
        final = live.job
        try:
            async with aclosing(session.events(run.run_id, after_seq=after)) as batches:
                async for batch in batches:
                    last = batch[-1]
                    await self._take(run, batch)
                    if last.HasField("end"):
                        end = last.end
                        final = await self._finish(run, end, seq=last.seq)
        except SessionLost as lost:
            if end is None:
                status = await self._pool.discard(session)
                raise SessionLost(events.exit_sentence(status) or str(lost)) from None
        # the session is free before anybody can see the end, so that a next job finds it
        if end is not None and end.session_usable and session.runner.is_alive():
            self._pool.release(session)
            self._jobs.publish(live, final)
        else:
            self._jobs.publish(live, final)
            await self._pool.discard(session)
        await asyncio.to_thread(self._results.remove_staging, live.job.task_id, run.run_id)
        await self._logs.close(live.job.task_id)

    async def _take(self, run: ActiveRun, batch: Sequence[pb.Event]) -> None:
        """Makes a batch durable in its order: what follows a result is written after the result."""
        live, lines = run.live, events.LineBuffer()
        for event in batch:
            match event.WhichOneof("kind"):
                case "log":
                    lines.add(event)
                case "progress":
                    live.advance(event.progress.progress, events.progress_info(event.progress))
                case "resource":
                    live.measure(events.resources(event.resource))
                case "result":
                    await self._flush(live.job, lines)
                    await self._add_result(run, event)
        await self._flush(live.job, lines)

    async def _flush(self, job: Job, lines: events.LineBuffer) -> None:
        text, count, seq = lines.take()
        if count:
            await self._durably(
                lambda: self._logs.append(job.task_id, text, count, attempt=job.attempt, seq=seq)
            )

    async def _add_result(self, run: ActiveRun, event: pb.Event) -> None:
        live = run.live
        task_id = live.job.task_id
        staged = self._results.staging(task_id, run.run_id)
        declared = events.result_set(event.result)
        try:
            adopted = await self._durably(
                lambda: self._results.adopt(task_id, live.job.attempt, staged, declared)
            )
        except ResultRejected as error:
            await self._job_log.line(
                live.job, "ERROR", f"Result {declared.index} was not kept: {error}"
            )
            return
        self._jobs.publish(
            live, await self._durably(lambda: self._store.add_result(task_id, adopted))
        )

    async def _finish(self, run: ActiveRun, end: pb.EndEvent, *, seq: int) -> Job:
        status, error = events.outcome(end)
        if status is JobStatus.CANCELLED and run.killed_by is None:
            status = JobStatus.FAILED
            error = error or JobError(ENGINE_LOST, "the engine ended the run")
        return await self._end(run.live, status, error, seq=seq, killed_by=run.killed_by)

    async def _fail(self, run: ActiveRun, code: int, message: str) -> None:
        live = run.live
        killed = run.killed_by is not None
        status = JobStatus.CANCELLED if killed else JobStatus.FAILED
        error = None if killed else JobError(code, message)
        try:
            self._jobs.publish(live, await self._end(live, status, error, killed_by=run.killed_by))
        except TransitionRefused as refused:
            self._jobs.publish(live, refused.job)

    async def _end(
        self,
        live: LiveJob,
        status: JobStatus,
        error: JobError | None,
        *,
        seq: int | None = None,
        killed_by: str | None = None,
    ) -> Job:
        level, text = events.end_line(status, error, killed_by)
        mark = {} if seq is None else {"seq": seq}
        await self._durably(lambda: self._job_log.end_of_try(live.job, level, text, **mark))
        return await self._durably(
            lambda: self._jobs.transition(
                live,
                status,
                expect=STARTED | WAITING,
                error=error,
                progress_info=live.progress_info,
            )
        )

    async def _kill_before_run(self, live: LiveJob, by: str) -> None:
        seen = live.job_changes.revision
        try:
            job = await self._jobs.transition(live, JobStatus.CANCELLED, expect=BEFORE_RUN)
        except TransitionRefused:
            # it has begun to run, or ended; who did that shows it in a moment
            await live.job_changes.beyond(seen)
            return
        await self._job_log.end_of_try(job, *events.end_line(job.status, None, by))
        self._jobs.publish(live, job)

    async def _kill_run(self, run: ActiveRun, session: EngineSession, by: str) -> None:
        run.killed_by = run.killed_by or by
        try:
            async with asyncio.timeout(self._kill_grace + KILL_MARGIN):
                await session.interrupt(run.run_id, grace=self._kill_grace)
                await self._until_ended(run.live)
        except (TimeoutError, SessionLost, SessionRefused):
            # the runner does not do it, so its whole tree goes; the broken stream then ends the job
            session.runner.kill_tree()
            await self._until_ended(run.live)

    async def _until_ended(self, live: LiveJob) -> None:
        revision = 0
        while not live.job.status.is_final:
            revision = await live.job_changes.beyond(revision)

    async def _store_paused(self, live: LiveJob, paused: bool) -> None:
        try:
            job = await self._store.set_paused(live.job.task_id, paused)
        except TransitionRefused as refused:
            raise ended(refused.job) from None
        word = "paused" if paused else "resumed"
        await self._job_log.line(job, "INFO", f"Your job is {word}.")
        self._jobs.publish(live, job)

    async def _apply_pause(self, run: ActiveRun, session: EngineSession, paused: bool) -> None:
        try:
            await (session.pause(run.run_id) if paused else session.resume(run.run_id))
        except (SessionLost, SessionRefused) as error:
            word = "pause" if paused else "resume"
            raise errors.Unavailable(
                f"The engine did not {word} job {run.live.job.task_id}: {error}. Try again."
            ) from None

    async def _durably(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Repeats a step until the store or the disk takes it; a job's state must not be lost."""
        delay = RETRY_FIRST
        while True:
            try:
                return await step()
            except (StoreUnavailable, LogUnavailable, ResultUnavailable) as error:
                log.warning("waiting for storage", error=str(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MOST)
