"""An operation asked by gRPC and by REST, and what each told in one form, to be compared."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import grpc
import httpx
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2
from tests.support.rest import Rest, answer_of, events_in
from tests.support.routes import Route
from tests.support.rpc import Rpc, refusal_in

# HTTP status and status of the envelope for each gRPC code, as the contract has them.
WORN = {
    grpc.StatusCode.OK: (200, 0),
    grpc.StatusCode.INVALID_ARGUMENT: (400, 1),
    grpc.StatusCode.FAILED_PRECONDITION: (400, 1),
    grpc.StatusCode.NOT_FOUND: (400, 1),
    grpc.StatusCode.ALREADY_EXISTS: (400, 1),
    grpc.StatusCode.UNAUTHENTICATED: (401, -1),
    grpc.StatusCode.PERMISSION_DENIED: (403, 3),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (429, 1),
    grpc.StatusCode.UNAVAILABLE: (503, 1),
}
ENVELOPE_OF_CODE = {code.value[0]: worn[1] for code, worn in WORN.items()}
SECRETS = {"entrance.v1.LoginResponse.session_ticket"}  # which REST gives in a cookie


@dataclass(frozen=True)
class Told:
    """What a caller was told: an answer, or why he was refused."""

    http: int
    status: int
    answer: Any = None
    words: str = ""
    details: Any = None  # errCode, reason and violations of a refusal


def by_grpc(rpc: Rpc, route: Route, request: Any) -> Told:
    """What gRPC tells."""
    try:
        answer = rpc.invoke(route.method, request)
        messages = [answer] if isinstance(answer, Message) else list(answer)
    except grpc.RpcError as error:
        refusal = refusal_in(error)
        words = refusal.message
        if refusal.err_code is not None:
            words = f"errCode: {refusal.err_code} ,desc: {words}"
        details = _refused(refusal.reason, refusal.err_code, refusal.violations)
        return Told(*WORN[refusal.code], words=words, details=details)
    told = plain(messages[0]) if not route.method.server_streaming else _streamed(messages)
    return Told(*WORN[grpc.StatusCode.OK], told)


def by_rest(rest: Rest, route: Route, request: Any) -> Told:
    """What REST tells, asked for the same."""
    response = _send(rest, route, request)
    rest.http.cookies.clear()  # that of a login, which the next call would carry
    kind = response.headers["content-type"].partition(";")[0]
    if response.status_code == 200 and kind != "application/json":
        streamed = _followed(response) if kind == "text/event-stream" else response.content
        return Told(200, 0, streamed)
    answer = answer_of(response)
    if answer.is_ok:
        return Told(answer.http, answer.status, _without_nothing(answer.data))
    violations = {one["field"]: one["description"] for one in answer.data.get("violations", ())}
    details = _refused(answer.data.get("reason", ""), answer.data.get("errCode"), violations)
    return Told(answer.http, answer.status, words=answer.message, details=details)


def masked(answer: Any, names: Collection[str]) -> Any:
    """An answer in which some values are only told to be there, as they differ each time."""
    if isinstance(answer, Mapping):
        return {
            name: type(value) if name in names else masked(value, names)
            for name, value in answer.items()
        }
    return [masked(one, names) for one in answer] if isinstance(answer, list) else answer


def plain(message: Message) -> Any:
    """A message as REST shows it, but without what is unset or empty text."""
    shape = _SHAPES.get(type(message))
    if shape is not None:
        return shape(message)
    fields = cast(Descriptor, message.DESCRIPTOR).fields
    told = {
        field.json_name: _plain_field(message, field)
        for field in fields
        if field.full_name not in SECRETS
        and (not field.has_presence or message.HasField(field.name))
    }
    return {name: value for name, value in told.items() if value not in ("", None)}


def _plain_field(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [_plain_value(field, one) for one in value]
    return _plain_value(field, value)


def _plain_value(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if field.enum_type is None:
        return value
    return _short(field.enum_type.name, field.enum_type.values_by_number[value].name)


def _short(enum: str, name: str) -> str | None:
    """The value of JobStatus as Succeed or WaitForRetry, any other one in small letters."""
    prefixes = {"JobStatus": "JOB_STATUS_", "LogLevel": "LOG_LEVEL_", "ResultType": "RESULT_TYPE_"}
    word = name.removeprefix(prefixes[enum])
    if word == "UNSPECIFIED":
        return None
    return word.title().replace("_", "") if enum == "JobStatus" else word.lower()


def _kill_result(result: pb.KillJobResult) -> dict[str, Any]:
    status = ENVELOPE_OF_CODE[result.status.code]
    return _kill_outcome(status, result.exec_id or result.id, result.task_id or None)


def _kill_outcome(status: int, exec_id: str, task_id: int | None) -> dict[str, Any]:
    return {"status": status, "execID": exec_id, "taskID": task_id}


_SHAPES: Mapping[type[Message], Callable[[Any], Any]] = {
    pb.KillJobResult: _kill_result,
    files_pb2.FileRow: lambda row: list(row.cells),
    pb.Row: lambda row: [cell.text if cell.HasField("text") else None for cell in row.cells],
}


def _streamed(messages: list[Any]) -> Any:
    """What a stream of an ended job told: lines and status, the last state, or the whole file."""
    last = messages[-1]
    if isinstance(last, pb.StreamLogResponse):
        lines = [line for message in messages for chunk in message.chunks for line in _lines(chunk)]
        return {"lines": lines, "status": _short("JobStatus", pb.JobStatus.Name(last.status))}
    if isinstance(last, pb.WatchJobResponse):
        return plain(last.job)
    if isinstance(last, pb.StreamProgressResponse):
        return plain(last)
    return b"".join(message.data for message in messages)


def _lines(chunk: pb.LogChunk) -> list[tuple[int, str | None, str]]:
    level = _short("LogLevel", pb.LogLevel.Name(chunk.level))
    texts = chunk.text.removesuffix("\n").split("\n")
    return [(chunk.from_line + at, level, text) for at, text in enumerate(texts)]


def _send(rest: Rest, route: Route, request: Message) -> httpx.Response:
    path = route.path
    for field in request.DESCRIPTOR.fields:
        path = path.replace(f"{{{field.name}}}", str(getattr(request, field.name)))
    given = MessageToDict(request)
    if route.verb == "POST":
        return rest.http.post(path, json=given)
    query = {name: _query(value) for name, value in given.items()}
    return rest.http.get(path, params=query)


def _query(value: Any) -> str:
    """A value as a query has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def _followed(response: httpx.Response) -> Any:
    events = list(events_in(iter(response.text.splitlines()), ""))
    *own, end = events
    assert end.name == "end"
    if own[0].name != "log":
        return _without_nothing(own[-1].data)
    lines = [
        (event.data["fromLine"] + at, event.data["level"], text)
        for event in own
        for at, text in enumerate(event.data["lines"])
    ]
    return {"lines": lines, "status": end.data["status"]}


def _without_nothing(told: Any) -> Any:
    """REST's data in the form of `plain`."""
    if isinstance(told, list):
        return [_without_nothing(one) for one in told]
    if not isinstance(told, dict):
        return told
    if told.keys() == {"method", "status", "message", "data"}:  # an answer of killJobs
        return _kill_outcome(told["status"], told["data"]["execID"], told["data"]["taskID"])
    return {
        name: _without_nothing(value) for name, value in told.items() if value not in ("", None)
    }


def _refused(reason: str, err_code: Any, violations: Mapping[str, str]) -> dict[str, Any]:
    return {"reason": reason, "errCode": str(err_code or ""), "violations": dict(violations)}
