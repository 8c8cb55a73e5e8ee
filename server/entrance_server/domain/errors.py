"""Errors that callers see; `rpc/errors.py` maps each class to a gRPC code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field of a request: its name as the caller spells it, and what to change."""

    field: str
    description: str


class EntranceError(Exception):
    """Base of every error that an answer tells the caller.

    `reason` is a stable upper-case word for programs; `err_code` the documented number, or None
    where the contract has none.
    """

    reason = "ERROR"
    err_code: int | None = None

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        err_code: int | None = None,
        violations: Sequence[FieldViolation] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason
        if err_code is not None:
            self.err_code = err_code
        self.violations = tuple(violations)


class InvalidRequest(EntranceError):
    """The request itself is wrong; sending it again without a change can't succeed."""

    reason = "INVALID_REQUEST"


class NotFound(EntranceError):
    """The id is well-formed, but names nothing."""

    reason = "NOT_FOUND"


class Removed(NotFound):
    """It was there until the retention of this installation removed it."""

    reason = "REMOVED_BY_RETENTION"


class Unauthenticated(EntranceError):
    """The call carries no credentials, or wrong ones."""

    reason = "UNAUTHENTICATED"


class WrongPassword(Unauthenticated):
    """Name and password of a login do not fit.

    `about` is the user of that name, where there is one: for the audit log, never for callers.
    """

    reason = "WRONG_PASSWORD"

    def __init__(self, *, about: str) -> None:
        super().__init__("The user name or the password is wrong.")
        self.about = about


class PermissionDenied(EntranceError):
    """The caller is known, and may not do this."""

    reason = "PERMISSION_DENIED"


class WrongState(EntranceError):
    """The job is in a state that does not allow this, such as one that has ended."""

    reason = "WRONG_STATE"


class AlreadyExists(EntranceError):
    """There is something of this name already."""

    reason = "ALREADY_EXISTS"


class RequestIdReused(AlreadyExists):
    """The request id was used before with another body."""

    reason = "REQUEST_ID_REUSED"


class Exhausted(EntranceError):
    """A limit is reached; the message names it. Trying later can succeed."""

    reason = "LIMIT_REACHED"


class TooManyAttempts(Exhausted):
    """Wrong logins came too often; the next one is taken after `retry_after` seconds."""

    reason = "TOO_MANY_ATTEMPTS"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(EntranceError):
    """The service can't do this now, for a reason of its own. Trying later can succeed."""

    reason = "UNAVAILABLE"


class JobMoved(Unavailable):
    """The job is not, or not yet, with the server that was asked; who asks again finds it."""

    reason = "JOB_MOVED"


class Unsupported(EntranceError):
    """The service has this operation, but not for this job."""

    reason = "UNSUPPORTED"
    err_code = 10000
