"""From a failed gRPC call to an exception of `errors`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from entrance.client import errors

_DETAILS_KEY = "grpc-status-details-bin"

_CLASSES: dict[int, type[errors.EntranceError]] = {
    code_pb2.INVALID_ARGUMENT: errors.InvalidArgument,
    code_pb2.OUT_OF_RANGE: errors.InvalidArgument,
    code_pb2.NOT_FOUND: errors.NotFound,
    code_pb2.UNAUTHENTICATED: errors.Unauthenticated,
    code_pb2.PERMISSION_DENIED: errors.PermissionDenied,
    code_pb2.FAILED_PRECONDITION: errors.WrongState,
    code_pb2.ALREADY_EXISTS: errors.AlreadyExists,
    code_pb2.RESOURCE_EXHAUSTED: errors.LimitReached,
    code_pb2.UNIMPLEMENTED: errors.Unsupported,
    code_pb2.UNAVAILABLE: errors.Unavailable,
    code_pb2.CANCELLED: errors.Unavailable,  # not by the caller: the service stops
    code_pb2.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
}


class FailedCall(Protocol):
    """What the sync and the async error of grpc have in common."""

    def code(self) -> grpc.StatusCode:
        """The code that the call ended with."""

    def details(self) -> str | None:
        """The message of the service, or of the channel where the service was not reached."""

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """What the service sent after the answer."""


def from_call(call: FailedCall, *, target: str) -> errors.EntranceError:
    """The exception for a call to a target that failed."""
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return from_status(status_pb2.Status.FromString(value))
    number, _name = call.code().value
    message = call.details() or ""
    if number in (code_pb2.UNAVAILABLE, code_pb2.CANCELLED):
        message = f"no answer from {target}: {message.rstrip('.')}."
    return from_status(status_pb2.Status(code=number, message=message))


def from_status(status: status_pb2.Status) -> errors.EntranceError:
    """The exception for a status with its details."""
    reason, err_code = "", None
    violations: list[errors.FieldViolation] = []
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason = info.reason
            number = info.metadata.get("errCode", "")
            err_code = int(number) if number.isdecimal() else None
        elif detail.Unpack(bad):
            violations += (
                errors.FieldViolation(wrong.field, wrong.description)
                for wrong in bad.field_violations
            )
    kind = _CLASSES.get(status.code, errors.EntranceError)
    message = status.message or code_pb2.Code.Name(status.code)
    return kind(message, reason=reason, err_code=err_code, violations=violations)
