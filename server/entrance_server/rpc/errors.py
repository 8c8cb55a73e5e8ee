"""The one table from errors to gRPC codes, and the details that an answer carries with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import grpc
from google.protobuf import any_pb2, duration_pb2, message
from google.rpc import error_details_pb2, status_pb2

from entrance_server.domain.errors import (
    AlreadyExists,
    EntranceError,
    Exhausted,
    FieldViolation,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
    Unsupported,
    WrongState,
)
from entrance_server.logs import LogUnavailable
from entrance_server.results import ResultUnavailable
from entrance_server.store.port import StoreUnavailable

DOMAIN: Final = "entrance"
RETRY_DELAY: Final = 1  # seconds

# A client may refuse metadata of more than 8 KiB. gRPC writes the message as up to three times its
# bytes, and once more in the details.
MESSAGE_BYTES: Final = 1024
VIOLATIONS_BYTES: Final = 2048


class DeadlineExceeded(EntranceError):
    """A call without a deadline of its own took longer than the default."""

    reason = "DEADLINE_EXCEEDED"


class InternalError(EntranceError):
    """A fault of the service; its log tells more under the incident's id."""

    reason = "INTERNAL"

    def __init__(self, incident: str) -> None:
        super().__init__(f"The service has a fault; its log tells more under incident {incident}.")
        self.incident = incident


class RemoteError(EntranceError):
    """What another server of the installation answered; `status` is told as it came."""

    def __init__(self, status: status_pb2.Status) -> None:
        info = error_details_pb2.ErrorInfo()
        any(detail.Unpack(info) for detail in status.details)
        super().__init__(status.message, reason=info.reason or None)
        self.status = status


CODES: Final[Mapping[type[EntranceError], grpc.StatusCode]] = {
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    InternalError: grpc.StatusCode.INTERNAL,
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    WrongState: grpc.StatusCode.FAILED_PRECONDITION,
}

_BY_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}
_RETRIABLE = (Exhausted, Unavailable)
_STORAGE_ERRORS = (LogUnavailable, ResultUnavailable, StoreUnavailable)


def known(error: Exception) -> EntranceError | None:
    """The error as a caller may see it, or None for one that nobody foresaw."""
    if isinstance(error, EntranceError):
        return error
    if isinstance(error, _STORAGE_ERRORS):
        return Unavailable(
            "The service can't reach its storage now; try again later.",
            reason="STORAGE_UNAVAILABLE",
        )
    return None


def code_of(error: EntranceError) -> grpc.StatusCode:
    """The gRPC code of an error: that of its class, or of the nearest one above it."""
    if isinstance(error, RemoteError):
        return _BY_NUMBER.get(error.status.code, grpc.StatusCode.UNKNOWN)
    for cls in type(error).__mro__:
        if cls in CODES:
            return CODES[cls]
    return grpc.StatusCode.UNKNOWN


def status_of(error: EntranceError) -> status_pb2.Status:
    """The error with its details, as a call or one job of KillJobs answers it."""
    if isinstance(error, RemoteError):
        return error.status
    return status_pb2.Status(
        code=code_of(error).value[0],
        message=_cut(error.message),
        details=[_packed(detail) for detail in _details(error)],
    )


def _details(error: EntranceError) -> Iterable[message.Message]:
    yield error_details_pb2.ErrorInfo(
        domain=DOMAIN, reason=error.reason, metadata=_error_metadata(error)
    )
    if error.violations:
        yield error_details_pb2.BadRequest(field_violations=_violations(error.violations))
    if isinstance(error, _RETRIABLE):
        yield error_details_pb2.RetryInfo(retry_delay=_retry_delay(error))


def _retry_delay(error: EntranceError) -> duration_pb2.Duration:
    wait = error.retry_after if isinstance(error, TooManyAttempts) else RETRY_DELAY
    return duration_pb2.Duration(seconds=math.ceil(wait))


def _error_metadata(error: EntranceError) -> dict[str, str]:
    metadata = {}
    if error.err_code is not None:
        metadata["errCode"] = str(error.err_code)
    if isinstance(error, InternalError):
        metadata["incident"] = error.incident
    return metadata


def _violations(
    violations: Iterable[FieldViolation],
) -> Iterable[error_details_pb2.BadRequest.FieldViolation]:
    room = VIOLATIONS_BYTES
    for violation in violations:
        packed = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field), description=_cut(violation.description)
        )
        room -= packed.ByteSize()
        if room < 0:
            return
        yield packed


def _packed(detail: message.Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _cut(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MESSAGE_BYTES:
        return encoded.decode()
    ellipsis = "…"
    kept = encoded[: MESSAGE_BYTES - len(ellipsis.encode())]
    return kept.decode("utf-8", "ignore") + ellipsis
