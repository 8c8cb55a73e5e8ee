"""The Message envelope that every answer wears, and the table from gRPC codes to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import orjson
from starlette.responses import Response

OK_TEXT = "OK"


@dataclass(frozen=True, slots=True)
class Message:
    """What a caller reads: which operation answers, how it went, and its data."""

    method: str
    status: int
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The envelope as JSON values."""
        return {
            "method": self.method,
            "status": self.status,
            "message": self.message,
            "data": self.data,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an error looks to a REST caller.

    `words` are said in place of an error's own text unless the server wrote that text for callers.
    """

    status: int
    http: int
    words: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


BAD_REQUEST = Outcome(1, 400)
NOT_LOGGED_IN = Outcome(-1, 401, headers={"WWW-Authenticate": 'Bearer realm="entrance"'})
NO_SUCH_PATH = Outcome(1, 404)
WRONG_VERB = Outcome(1, 405)
TOO_SLOW = Outcome(1, 408, headers={"Connection": "close"})
BODY_TOO_LARGE = Outcome(1, 413)
BODY_ENCODED = Outcome(1, 415)
TOO_MANY_REQUESTS = Outcome(1, 429, headers={"Retry-After": "1"})
FAILED = Outcome(1, 500, "The service failed to answer; its log tells why.")
DEADLINE = Outcome(1, 504, "The service did not answer in time; the call may have had its effect.")

OUTCOMES: Mapping[grpc.StatusCode, Outcome] = {
    grpc.StatusCode.INVALID_ARGUMENT: BAD_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: BAD_REQUEST,
    grpc.StatusCode.NOT_FOUND: BAD_REQUEST,
    grpc.StatusCode.ALREADY_EXISTS: BAD_REQUEST,
    grpc.StatusCode.UNAUTHENTICATED: NOT_LOGGED_IN,
    grpc.StatusCode.PERMISSION_DENIED: Outcome(3, 403),
    grpc.StatusCode.RESOURCE_EXHAUSTED: Outcome(
        1, 429, "A limit of the service is reached; try again later.", {"Retry-After": "5"}
    ),
    grpc.StatusCode.UNAVAILABLE: Outcome(
        1, 503, "The service can't be reached now; try again later.", {"Retry-After": "1"}
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: DEADLINE,
    grpc.StatusCode.UNIMPLEMENTED: Outcome(1, 501, "The service does not have this operation."),
}


def encode(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class EnvelopeResponse(Response):
    """A Message as an HTTP answer."""

    media_type = "application/json;charset=UTF-8"

    def render(self, content: Message) -> bytes:
        """The body; half a surrogate pair, which only echoed input can hold, becomes `?`."""
        try:
            return orjson.dumps(content.as_dict())
        except orjson.JSONEncodeError:
            return encode(content.as_dict()).encode(errors="replace")
