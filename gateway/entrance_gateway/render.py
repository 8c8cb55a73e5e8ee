"""An RPC's answer to the `data` of the envelope."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from operator import attrgetter
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2
from entrance_gateway import errors
from entrance_gateway.envelope import OK_TEXT
from entrance_gateway.envelope import Message as Envelope
from entrance_gateway.names import HIDDEN, LEFT_OUT, enum_name
from entrance_gateway.paths import METHOD_ROOT

_SERVICE = "entrance.v1.EntranceService"
KILLED = "Successfully killed the job"

_WORDS: Mapping[str, str] = {
    f"{_SERVICE}.Kill": KILLED,
    f"{_SERVICE}.Pause": "Successfully paused the job",
    f"{_SERVICE}.Resume": "Successfully resumed the job",
}


def words_of(operation: str) -> str:
    """What the envelope says when an operation went well."""
    return _WORDS.get(operation, OK_TEXT)


def data_of(answer: Message, request: Message) -> dict[str, Any]:
    """The data that answers a request."""
    shape = _SHAPES.get(type(answer))
    return shape(answer, request) if shape else fields_of(answer)


def fields_of(message: Message) -> dict[str, Any]:
    """Every field of a message by its JSON name, whether set or not, but for HIDDEN, LEFT_OUT ones.

    Numbers are numbers, also those of 64 bits; a time is RFC 3339, bytes are base64, an enum is its
    short name, and what is absent is null.
    """
    return {
        reader.json_name: reader.read(message)
        for reader in _readers(cast(Descriptor, message.DESCRIPTOR))
        if reader.needed is None or message.HasField(reader.needed)
    }


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one field of a message as a JSON value, where the field that is `needed` is set."""

    json_name: str
    read: Callable[[Message], Any]
    needed: str | None


@cache
def _readers(of: Descriptor) -> Sequence[_Reader]:
    return [
        _Reader(
            field.json_name, _reading(field), field.name if field.full_name in LEFT_OUT else None
        )
        for field in of.fields
        if field.full_name not in HIDDEN
    ]


def _reading(field: FieldDescriptor) -> Callable[[Message], Any]:
    """How a field is read, decided once."""
    name, get = field.name, attrgetter(field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of = _conversion(field.message_type.fields_by_name["value"])
        return lambda message: {str(key): of(item) for key, item in get(message).items()}
    convert = _conversion(field)
    if field.is_repeated:
        return lambda message: [convert(item) for item in get(message)]
    if field.has_presence:
        return lambda message: convert(get(message)) if message.HasField(name) else None
    return get if convert is _as_it_is else lambda message: convert(get(message))


def _conversion(field: FieldDescriptor) -> Callable[[Any], Any]:
    """What makes a JSON value of a field's value."""
    if field.enum_type is not None:
        return partial(enum_name, field.enum_type)
    if field.message_type is not None:
        is_time = field.message_type.full_name == Timestamp.DESCRIPTOR.full_name
        return Timestamp.ToJsonString if is_time else fields_of
    return _CONVERSIONS.get(field.type, _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


_CONVERSIONS: Mapping[int, Callable[[Any], Any]] = {
    FieldDescriptor.TYPE_BYTES: _base64,
    FieldDescriptor.TYPE_DOUBLE: _finite,
    FieldDescriptor.TYPE_FLOAT: _finite,
}


def _log(answer: pb.LogResponse, request: pb.LogRequest) -> dict[str, Any]:
    split = request.distinct_level or not request.HasField("distinct_level")
    return fields_of(answer) | {"log": list(answer.log) if split else "".join(answer.log)}


def _resources(answer: Message, _: Message) -> dict[str, Any]:
    """The progress; a job without measurements says so under the documented name."""
    data = fields_of(answer)
    if data["yarnMetrics"] is None:
        del data["yarnMetrics"]
        data["yarnResource"] = None
    return data


def _killed(answer: pb.KillJobsResponse, _: Message) -> dict[str, Any]:
    return {"messages": [_kill_message(result).as_dict() for result in answer.messages]}


def _kill_message(result: pb.KillJobResult) -> Envelope:
    method = f"{METHOD_ROOT}/entrance/{result.id}/kill"
    ids = {"execID": result.exec_id or result.id, "taskID": result.task_id or None}
    if result.status.code:
        return errors.from_status(result.status).message(method, ids)
    return Envelope(method, 0, KILLED, ids)


def _page(answer: pb.ReadResultResponse, _: Message) -> dict[str, Any]:
    return {
        "resultSet": fields_of(answer.result_set) if answer.HasField("result_set") else None,
        "rows": [_cells(row) for row in answer.rows],
        "content": _base64(answer.content),
        "nextPageToken": answer.next_page_token,
    }


def _file_page(answer: files_pb2.OpenFileResponse, _: Message) -> dict[str, Any]:
    return fields_of(answer) | {"fileContent": [list(row.cells) for row in answer.file_content]}


def _cells(row: pb.Row) -> list[str | None]:
    return [cell.text if cell.HasField("text") else None for cell in row.cells]


_SHAPES: Mapping[type[Message], Callable[[Any, Any], dict[str, Any]]] = {
    pb.LogResponse: _log,
    pb.ProgressWithResourceResponse: _resources,
    pb.StreamProgressResponse: _resources,
    pb.KillJobsResponse: _killed,
    pb.ReadResultResponse: _page,
    files_pb2.OpenFileResponse: _file_page,
}
