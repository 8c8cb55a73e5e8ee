"""What can go wrong in a call, as a tree of exceptions under EntranceError."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrance.client.models import Job


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field of a request: its name, and what to change."""

    field: str
    description: str


class EntranceError(Exception):
    """Base of every error of a call, and the error itself where nothing below fits.

    Attributes:
        message: what went wrong, for a person.
        reason: a stable upper-case word for programs; empty where the service gave none.
        err_code: the documented error number; None where there is none.
        violations: the wrong fields of a request; empty for other errors.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        err_code: int | None = None,
        violations: Sequence[FieldViolation] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.err_code = err_code
        self.violations = tuple(violations)


class InvalidArgument(EntranceError):
    """The request is wrong, and sending it again without a change can't succeed."""


class NotFound(EntranceError):
    """The id or index is well-formed, but names nothing."""


class Unauthenticated(EntranceError):
    """The call had no token, or a wrong one."""


class PermissionDenied(EntranceError):
    """The caller is known, and may not do this; most often it is somebody else's job."""


class WrongState(EntranceError):
    """The job is in a state that does not allow this, such as one that has ended."""


class AlreadyExists(EntranceError):
    """The request id was used before with another body, or the name is taken."""


class LimitReached(EntranceError):
    """A limit is reached, such as a full queue. Trying later can succeed."""


class Unsupported(EntranceError):
    """The service does not have this operation, or not for this job."""


class Unavailable(EntranceError):
    """The service can't be reached or can't answer now, after the retries that the client makes."""

    @property
    def answered(self) -> bool:
        """Whether the service itself said so; False when nothing of it was heard."""
        return bool(self.reason)


class DeadlineExceeded(EntranceError):
    """The answer, or the end that was waited for, did not come in the given time."""


class JobFailed(EntranceError):
    """The job ended as Failed, Cancelled or Timeout where a success was asked for.

    Attributes:
        job: the ended job, with its error.
    """

    def __init__(self, job: Job) -> None:
        ending = f"job {job.task_id} ended as {job.status}"
        message = f"{ending}: {job.error.message}" if job.error else ending
        super().__init__(
            message, reason="JOB_FAILED", err_code=job.error.code if job.error else None
        )
        self.job = job
