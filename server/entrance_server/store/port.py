"""What the service asks of a store. An answer means that the change is durable."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from entrance_server.domain.job import (
    Job,
    JobError,
    JobSpec,
    ProgressInfo,
    ResultSet,
    SessionRecord,
    Token,
)
from entrance_server.domain.status import JobStatus


class StoreUnavailable(Exception):
    """The store can't be reached, is locked or full; nothing was changed."""


class TransitionRefused(Exception):
    """The job was not in an expected state; `job` is how it is."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.task_id} is {job.status}")
        self.job = job


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; what is set must all hold."""

    statuses: frozenset[JobStatus] = frozenset()
    execute_user: str | None = None
    creator: str | None = None
    engine_type: str | None = None
    create_time_from: datetime | None = None
    create_time_to: datetime | None = None


class Store(Protocol):
    """Durable jobs, results, sessions and tokens.

    Every method raises StoreUnavailable when the store does not answer.
    """

    async def open(self) -> None:
        """Connects and migrates. Called once, before anything else."""

    async def close(self) -> None:
        """Finishes the writes that were begun and disconnects."""

    async def create_job(self, spec: JobSpec, *, instance: str) -> tuple[Job, bool]:
        """Makes a job durable; the flag tells whether it is new.

        Raises:
            RequestIdReused: `spec.request_id` was used by the same submit user with another spec.
        """

    async def get_job(self, task_id: int) -> Job | None:
        """One job, or None where the number names none."""

    async def list_jobs(
        self, where: JobFilter, *, limit: int, before_task_id: int | None = None
    ) -> Sequence[Job]:
        """Jobs by falling number; `before_task_id` goes on after a page."""

    async def unfinished_jobs(self, instance: str) -> Sequence[Job]:
        """The jobs of an instance that have not ended, by rising number."""

    async def transition(
        self,
        task_id: int,
        to: JobStatus,
        *,
        expect: Collection[JobStatus],
        session_id: str | None = None,
        error: JobError | None = None,
        progress: float | None = None,
        attempt: int | None = None,
        progress_info: tuple[ProgressInfo, ...] | None = None,
    ) -> Job:
        """Compare-and-set of the state. `start_time` is set with Running, `end_time` with a final one.

        Fields left None stay as they are. A final state clears `paused`.

        Raises:
            TransitionRefused: the job was in none of the expected states.
        """

    async def set_paused(self, task_id: int, paused: bool) -> Job:
        """Sets the flag of a job that has not ended.

        Raises:
            TransitionRefused: the job has ended.
        """

    async def add_result(self, task_id: int, result: ResultSet) -> Job:
        """Adds a result set and counts it; one with the same index is replaced and not counted again."""

    async def list_results(
        self, task_id: int, *, limit: int, after_index: int = -1
    ) -> Sequence[ResultSet]:
        """A job's result sets by rising index."""

    async def get_result(self, task_id: int, index: int) -> ResultSet | None:
        """One result set, or None."""

    async def clear_results(self, task_id: int) -> Job:
        """Forgets a job's result sets, before another try."""

    async def put_session(self, record: SessionRecord) -> None:
        """Adds a session, or replaces the one with its id."""

    async def remove_session(self, session_id: str) -> None:
        """Forgets a session; one that is not there is no error."""

    async def list_sessions(self) -> Sequence[SessionRecord]:
        """All sessions, by time of creation."""

    async def put_token(self, token: Token) -> None:
        """Adds a token, or replaces the one with its id."""

    async def find_token(self, secret_hash: bytes) -> Token | None:
        """The token with this hash, or None."""

    async def list_tokens(self) -> Sequence[Token]:
        """All tokens, by time of creation."""
