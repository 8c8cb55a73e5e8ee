"""The states of a job and the steps between them."""

from __future__ import annotations

import enum


class JobStatus(enum.StrEnum):
    """Where a job is in its life; the values are the names on the wire."""

    INITED = "Inited"
    WAIT_FOR_RETRY = "WaitForRetry"
    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    SUCCEED = "Succeed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TIMEOUT = "Timeout"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended; such a state never changes."""
        return self in FINAL


FINAL = frozenset({JobStatus.SUCCEED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT})
ACTIVE = frozenset(JobStatus) - FINAL
WAITING = frozenset({JobStatus.INITED, JobStatus.WAIT_FOR_RETRY})
PLACED = frozenset({JobStatus.SCHEDULED, JobStatus.RUNNING})  # of those that run in a group

_ENDINGS_BEFORE_RUN = frozenset({JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT})

NEXT: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.INITED: _ENDINGS_BEFORE_RUN | {JobStatus.SCHEDULED},
    JobStatus.WAIT_FOR_RETRY: _ENDINGS_BEFORE_RUN | {JobStatus.SCHEDULED},
    JobStatus.SCHEDULED: _ENDINGS_BEFORE_RUN | {JobStatus.RUNNING, JobStatus.WAIT_FOR_RETRY},
    JobStatus.RUNNING: FINAL | {JobStatus.WAIT_FOR_RETRY},
    **dict.fromkeys(FINAL, frozenset[JobStatus]()),
}


def may_follow(current: JobStatus, new: JobStatus) -> bool:
    """Whether a job may go from one state to another."""
    return new in NEXT[current]
