"""What the end of a try means for its job: its final state, or another try after a while."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime

from entrance.engine.v1 import engine_pb2 as pb
from entrance_server.domain.job import Job, JobError
from entrance_server.domain.run_policy import RunPolicies, RunPolicy
from entrance_server.domain.status import ACTIVE, JobStatus
from entrance_server.results import ResultFiles, ResultUnavailable
from entrance_server.service import events
from entrance_server.service.durable import durably
from entrance_server.service.job_log import END_SEQ, JobLog, Level, utc_now
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJob
from entrance_server.service.retries import ENGINE_LOST, Retries
from entrance_server.service.runs import ActiveRun, Stop
from entrance_server.store.port import Store


class Endings:
    """Makes the ends of tries durable; the caller publishes the job that it is answered."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        store: Store,
        results: ResultFiles,
        job_log: JobLog,
        policies: RunPolicies,
        retries: Retries,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._results = results
        self._job_log = job_log
        self._policies = policies
        self._retries = retries
        self._clock = clock

    async def reported(self, run: ActiveRun, end: pb.EndEvent, *, seq: int) -> Job:
        """The end that the runner tells, in its event of that number.

        Raises:
            TransitionRefused: the job has ended before; here and in `failed`.
        """
        status, error = events.outcome(end)
        if status is not JobStatus.CANCELLED:
            return await self._end(run, status, error, seq)
        if run.stop is not None:
            return await self._stopped(run.live, run.stop, seq)
        # not tried again, since a kill that a crash of the server cut off looks like this too
        lost = error or JobError(ENGINE_LOST, "the engine ended the run")
        level, text = events.end_line(JobStatus.FAILED, lost)
        return await self._finally(run.live, JobStatus.FAILED, lost, level, text, seq)

    async def failed(self, run: ActiveRun, error: JobError) -> Job:
        """The end of a try of which the runner tells nothing more."""
        if run.stop is not None:
            return await self._stopped(run.live, run.stop, END_SEQ)
        return await self._end(run, JobStatus.FAILED, error, END_SEQ)

    async def _end(
        self, run: ActiveRun, status: JobStatus, error: JobError | None, seq: int
    ) -> Job:
        policy = self._policies.of(run.live.job.spec.labels)
        if error and run.stop is None and self._retries.follow(run.live.job, error, policy):
            return await self._until_retry(run.live, error, policy, seq)
        level, text = events.end_line(status, error)
        return await self._finally(run.live, status, error, level, text, seq)

    async def _stopped(self, live: LiveJob, stop: Stop, seq: int) -> Job:
        return await self._finally(live, stop.status, stop.error, "WARN", stop.text, seq)

    async def _finally(
        self,
        live: LiveJob,
        status: JobStatus,
        error: JobError | None,
        level: Level,
        text: str,
        seq: int,
    ) -> Job:
        await durably(lambda: self._job_log.end_of_try(live.job, level, text, seq=seq))
        return await durably(
            lambda: self._jobs.transition(
                live, status, expect=ACTIVE, error=error, progress_info=live.progress_info
            )
        )

    async def _until_retry(
        self, live: LiveJob, error: JobError, policy: RunPolicy, seq: int
    ) -> Job:
        job = live.job
        delay = self._retries.delay(job.attempt)
        text = (
            f"Try {job.attempt} of {policy.tries} failed, the next one is due in "
            f"{delay.total_seconds():g} s. errCode: {error.code} ,desc: {error.message}"
        )
        await durably(lambda: self._job_log.end_of_try(job, "WARN", text, seq=seq))
        await durably(lambda: self._store.clear_results(job.task_id))
        waiting = await durably(
            lambda: self._store.transition(
                job.task_id,
                JobStatus.WAIT_FOR_RETRY,
                expect={JobStatus.SCHEDULED, JobStatus.RUNNING},
                error=error,
                progress=0.0,
                progress_info=(),
                attempt=job.attempt + 1,
                retry_time=self._clock() + delay,
            )
        )
        with contextlib.suppress(ResultUnavailable):  # nobody finds what stays
            await self._results.remove(job.task_id, attempt=job.attempt)
        return waiting
