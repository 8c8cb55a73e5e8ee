"""Why a request is not answered with its data: found here, or told by the server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from entrance_gateway import envelope

BODY_MISSING = 20001
UNREADABLE = 20010

_ERROR_DOMAIN = "entrance"
_RETRY_AFTER = "Retry-After"
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_LONGEST_NAME = 200  # characters of a field's name that are shown
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field: its name as the caller spells it, and what to change."""

    field: str
    description: str


class Refusal(Exception):
    """An answer other than ok. `words` tell the caller what to change."""

    def __init__(
        self,
        words: str,
        outcome: envelope.Outcome = envelope.BAD_REQUEST,
        *,
        err_code: int | None = None,
        reason: str | None = None,
        violations: Sequence[Violation] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(words)
        self.words = words
        self.outcome = outcome
        self.err_code = err_code
        self.reason = reason
        self.violations = tuple(violations)
        self.headers = {**outcome.headers, **(headers or {})}

    def message(self, method: str, data: Mapping[str, Any] | None = None) -> envelope.Message:
        """The refusal in the envelope of an operation, with what else belongs into its data."""
        words = self.words
        if self.err_code is not None:
            words = f"errCode: {self.err_code} ,desc: {words}"
        return envelope.Message(
            method, self.outcome.status, words, {**(data or {}), **self._data()}
        )

    def spell(self, names: Mapping[str, str]) -> None:
        """Names the wrong fields as the caller does, where that differs."""
        self.violations = tuple(
            replace(one, field=names.get(one.field, one.field)) for one in self.violations
        )

    def response(self, method: str) -> envelope.EnvelopeResponse:
        """The refusal as an HTTP answer."""
        return envelope.EnvelopeResponse(
            self.message(method), status_code=self.outcome.http, headers=self.headers
        )

    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if self.err_code is not None:
            data["errCode"] = self.err_code
        if self.reason:
            data["reason"] = self.reason
        if self.violations:
            data["violations"] = [asdict(violation) for violation in self.violations]
        return data


def wrong_field(field: str, description: str) -> Refusal:
    """The refusal of a request for one field, named as the caller spells it."""
    field = field if len(field) <= _LONGEST_NAME else field[:_LONGEST_NAME] + "…"
    return Refusal(
        f"'{field}' {description}.",
        err_code=UNREADABLE,
        violations=[Violation(field, description)],
    )


def failure() -> Refusal:
    """The refusal for what went wrong on our side; the log tells more than the caller gets."""
    return Refusal(envelope.FAILED.words or "", envelope.FAILED)


def out_of_time() -> Refusal:
    """The refusal for a server that did not answer within the deadline."""
    return Refusal(envelope.DEADLINE.words or "", envelope.DEADLINE)


def from_rpc(error: grpc.aio.AioRpcError) -> Refusal:
    """The refusal that a failed call means."""
    return from_status(status_of(error))


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The status of a failed call; it has details when the server itself told it."""
    try:
        rich = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        rich = None
    plain = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
    return rich or plain


def is_lost(error: grpc.aio.AioRpcError) -> bool:
    """Whether a call broke off because the server went away, rather than by its answer."""
    lost = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    return error.code() in lost and not status_of(error).details


def from_status(status: status_pb2.Status) -> Refusal:
    """The refusal that an error status with its details means."""
    info, violations, wait = _details(status)
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    if code is grpc.StatusCode.CANCELLED:  # not by us: the server stops
        code = grpc.StatusCode.UNAVAILABLE
    outcome = envelope.OUTCOMES.get(code, envelope.FAILED)
    for_callers = info.domain == _ERROR_DOMAIN or outcome.words is None
    words = status.message if for_callers else ""
    err_code = info.metadata.get("errCode", "")
    return Refusal(
        words or outcome.words or "Refused.",
        outcome,
        err_code=int(err_code) if err_code.isdecimal() else None,
        # within a stream no HTTP status tells what kind of error it is
        reason=info.reason or (code.name if code in _PASSING else None),
        violations=violations,
        headers={_RETRY_AFTER: str(wait)} if wait and _RETRY_AFTER in outcome.headers else None,
    )


def _details(
    status: status_pb2.Status,
) -> tuple[error_details_pb2.ErrorInfo, list[Violation], int]:
    """What the error is, the wrong fields, and the seconds to wait before another try."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    bad_request = error_details_pb2.BadRequest()
    for detail in status.details:
        any(detail.Unpack(known) for known in (info, retry, bad_request))
    violations = [Violation(v.field, v.description) for v in bad_request.field_violations]
    return info, violations, math.ceil(retry.retry_delay.ToTimedelta().total_seconds())
