"""Who did what to which job: an entry for each call that acts, and for each that is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.errors import (
    InvalidRequest,
    PermissionDenied,
    Unauthenticated,
    WrongPassword,
)
from entrance_server.domain.ids import task_id_of
from entrance_server.rpc import caller, errors
from entrance_server.rpc.edge import Context, Handler, Method
from entrance_server.service.job_log import utc_now

LONGEST: Final = 256  # characters of a text in an entry
ANONYMOUS_MOST: Final = 20  # entries of a second for failed calls without valid credentials

# What an entry tells of a request or its answer. Nothing else of them is ever told: not code, not
# parameters, not secrets.
_JOB_FIELDS: Final = ("task_id", "id")
_NAME_FIELDS: Final = ("user_name", "name", "user", "execute_user")
_PLAIN_FIELDS: Final = ("token_id", "is_admin", "disabled", "for_users", "hosts")
_ROUTINE: Final = frozenset({"Heartbeat"})  # acts, but on nothing that anybody asks for later


class AuditSink(Protocol):
    """Where entries go."""

    def write(self, entry: Mapping[str, object]) -> None:
        """Takes an entry; never waits and never fails."""


class Audit:
    """Tells a sink of calls. Stands inside of Errors, so that it sees why one fails."""

    def __init__(self, sink: AuditSink, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._sink = sink
        self._clock = clock
        self._anonymous = _Rate(ANONYMOUS_MOST)

    def wrap(self, method: Method, handler: Handler) -> Handler:
        rpc = method.descriptor
        acts = rpc is not None and _acts(rpc)

        async def call(request: Any, context: Context) -> Any:
            response: Any = None
            outcome: dict[str, object] = {"outcome": grpc.StatusCode.CANCELLED.name}
            tells = acts
            try:
                response = await handler(request, context)
                outcome = {"outcome": grpc.StatusCode.OK.name}
                return response
            except Exception as error:
                if not isinstance(error, grpc.aio.BaseError):
                    outcome = _failure(error)
                    tells = acts or isinstance(error, Unauthenticated | PermissionDenied)
                raise
            finally:
                if tells:
                    entry = {**self._begin(method, context), **outcome}
                    self._tell(entry, lambda: _subjects(rpc, request, response))

        return call

    def _begin(self, method: Method, context: Context) -> dict[str, object]:
        return {
            "time": self._clock().isoformat(timespec="milliseconds"),
            "action": method.name.rpartition("/")[2],
            **_caller(context),
        }

    def _tell(
        self,
        entry: Mapping[str, object],
        subjects: Callable[[], Iterator[Mapping[str, object]]],
    ) -> None:
        if caller.grant() is not None or entry["outcome"] == grpc.StatusCode.OK.name:
            for subject in subjects():
                self._sink.write({**entry, **subject, **_forwarded(subject)})
            return
        # nothing that a stranger sent is told, since it may be a secret in the wrong place
        if "target" in entry:  # a user's wrong password; how often that may be is limited elsewhere
            self._sink.write(entry)
        elif (unrecorded := self._anonymous.take()) is not None:
            self._sink.write({**entry, **({"unrecorded": unrecorded} if unrecorded else {})})


class _Rate:
    """Lets so many through in a second, and counts the others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = 0
        self._taken = 0
        self._left_out = 0

    def take(self) -> int | None:
        """None for one that is not let through; else how many were not since the last one was."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._taken = second, 0
        if self._taken >= self._most:
            self._left_out += 1
            return None
        self._taken += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


def _acts(rpc: MethodDescriptor) -> bool:
    reads = rpc.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    ours = rpc.containing_service.file.package == pb.DESCRIPTOR.package
    return ours and not reads and rpc.name not in _ROUTINE


def _failure(error: Exception) -> dict[str, object]:
    known = errors.known(error)
    if known is None:
        return {"outcome": grpc.StatusCode.INTERNAL.name}
    told: dict[str, object] = {"outcome": errors.code_of(known).name, "reason": known.reason}
    if isinstance(error, WrongPassword) and error.about:
        told["target"] = error.about
    return told


def _caller(context: Context) -> dict[str, object]:
    grant, sent = caller.grant(), caller.sent()
    told: dict[str, object] = {"user": caller.user(), "peer": context.peer()}
    if grant is not None:
        told["by"] = f"token {grant.token_id}" if grant.token_id else "session"
        if grant.principal.is_admin:
            told["admin"] = True
    if sent is not None and sent.address:
        told["address"] = sent.address
    if sent is not None and sent.via:
        told["via"] = sent.via
    return told


def _forwarded(subject: Mapping[str, object]) -> Mapping[str, object]:
    """To which server the call went on, whose own log has the act."""
    job = subject.get("job")
    owner = caller.forwards().get(job) if isinstance(job, int) else None
    return {"forwarded_to": owner} if owner else {}


def _subjects(
    rpc: MethodDescriptor | None, request: Any, response: Any
) -> Iterator[dict[str, object]]:
    """What a call was about; one for each job of several."""
    if isinstance(response, pb.KillJobsResponse):
        for result in response.messages:
            outcome = code_pb2.Code.Name(result.status.code)
            yield {"job": result.task_id or _job(result.id), "outcome": outcome}
        return
    told: dict[str, object] = {}
    for message in (_decoded(rpc, request), response):
        if isinstance(message, Message):
            told |= _fields(message)
    yield told


def _decoded(rpc: MethodDescriptor | None, request: Any) -> Message | None:
    if rpc is None or not isinstance(request, bytes):
        return None
    try:
        return GetMessageClass(rpc.input_type).FromString(request)
    except DecodeError:
        return None


def _fields(message: Message) -> dict[str, object]:
    told: dict[str, object] = {}
    for field, value in message.ListFields():
        if isinstance(value, Message):
            told |= _fields(value) if field.name in ("token", "user") else {}
        elif field.name in _JOB_FIELDS:
            told["job"] = _job(value)
        elif field.name in _NAME_FIELDS:
            told["target"] = value[:LONGEST]
        elif field.name in _PLAIN_FIELDS:
            told[field.name] = _plain(value)
    return told


def _job(id: object) -> object:
    """A job's number where an id tells it; else the id as it came, which names none."""
    try:
        return id if isinstance(id, int) else task_id_of(str(id))
    except InvalidRequest:
        return str(id)[:LONGEST]


def _plain(value: Any) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value[:LONGEST]
    return [str(one)[:LONGEST] for one in value][:LONGEST]
