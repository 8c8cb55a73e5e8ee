"""The jobs as a caller may see them: found by either id, checked against their owner."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from entrance_server.domain import errors, ids
from entrance_server.domain.job import Job, JobError, Principal, ProgressInfo
from entrance_server.domain.status import JobStatus
from entrance_server.logs import LogStore
from entrance_server.service.live import LiveJob, LiveJobs
from entrance_server.store.port import Store


class Jobs:
    """Live jobs in front of the store. The one place where access to a job is decided."""

    def __init__(self, *, store: Store, live: LiveJobs, logs: LogStore) -> None:
        self._store = store
        self._live = live
        self._logs = logs

    async def find(self, principal: Principal, id: str, *, task_id: int = 0) -> Job:
        """The job that an execID or a taskID names.

        Args:
            principal: Who asks.
            id: The id as the caller wrote it.
            task_id: Used when `id` is an execID that is not known; 0 means none.

        Raises:
            InvalidRequest: the id is malformed.
            NotFound: it names no job.
            PermissionDenied: the job is somebody else's.
        """
        job = await self._lookup(ids.task_id_of(id), id)
        if job is None and task_id > 0:
            job = await self._lookup(task_id, "")
        if job is None:
            raise errors.NotFound(_not_yours(id))
        if not (principal.is_admin or job.spec.execute_user == principal.user):
            raise errors.PermissionDenied(_not_yours(id))
        return job

    def live(self, job: Job) -> LiveJob:
        """The live form of a job; one that has ended gets a form of its own that never changes."""
        return self._live.get(job.task_id) or LiveJob(job)

    def as_shown(self, job: Job) -> Job:
        """A job of a list as `find` gives it, so that no list is ahead of what was published."""
        live = self._live.get(job.task_id)
        return dataclasses.replace(live.job, spec=job.spec) if live else job

    async def transition(
        self,
        live: LiveJob,
        to: JobStatus,
        *,
        expect: Collection[JobStatus],
        session_id: str | None = None,
        error: JobError | None = None,
        progress_info: Collection[ProgressInfo] | None = None,
    ) -> Job:
        """Makes a step durable; nobody sees it before `publish`.

        Raises:
            TransitionRefused: the job is in none of the expected states.
        """
        return await self._store.transition(
            live.job.task_id,
            to,
            expect=expect,
            session_id=session_id,
            error=error,
            progress=1.0 if to.is_final else None,
            progress_info=None if progress_info is None else tuple(progress_info),
        )

    def publish(self, live: LiveJob, job: Job) -> None:
        """Shows a durable change to everybody who follows the job."""
        live.update(job)
        if job.status.is_final:
            self._live.remove(job.task_id)
            self._logs.wake(job.task_id)

    async def _lookup(self, task_id: int, exec_id: str) -> Job | None:
        live = self._live.get(task_id)
        job = live.job if live is not None else await self._store.get_job(task_id)
        if job is not None and exec_id.startswith(ids.EXEC_ID_PREFIX) and job.exec_id != exec_id:
            return None
        return job


def ended(job: Job) -> errors.WrongState:
    """The error for an operation that comes too late."""
    return errors.WrongState(
        f"Job {job.task_id} has ended already: {job.status}.", reason="JOB_ENDED"
    )


def require_files(job: Job, what: str, *, err_code: int | None = None) -> None:
    """Checks that a job's log and results were not removed.

    Raises:
        Removed: they were.
    """
    if job.removed_time is not None:
        raise errors.Removed(
            f"The {what} of job {job.task_id} {'were' if what.endswith('s') else 'was'} removed at "
            f"{job.removed_time:%Y-%m-%d %H:%M:%S} UTC: this installation keeps what ended jobs "
            "left behind for a time alone. Submit the job again to have it anew.",
            err_code=err_code,
        )


def being_ended(job: Job) -> errors.WrongState:
    """The error for an operation on a job that is just being killed or timed out."""
    return errors.WrongState(f"Job {job.task_id} is being ended.", reason="JOB_ENDING")


def _not_yours(id: str) -> str:
    return f"There is no job '{id}', or it is not yours."
