"""The OpenAPI document of the REST API, made from the descriptors and comments of the protos."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway import envelope, schemas
from entrance_gateway.credentials import SESSION_COOKIE
from entrance_gateway.events import END_ID, RESUME_HEADER
from entrance_gateway.operations import Operation
from entrance_gateway.schemas import Answers, Requests, Schema

_ABOUT = (
    "Submit code, watch it, control it, read its results. Every answer but a file and a stream of "
    "events is an envelope of `method`, `status`, `message` and `data`; `status` 0 means ok. An "
    "`id` is an execID or a taskID. In requests null is the same as leaving out, numbers and "
    "booleans may be texts, and unknown fields are passed over."
)
_SCHEMES: Mapping[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "tokenCode": {"type": "apiKey", "in": "header", "name": "Token-Code"},
    "tokenUser": {"type": "apiKey", "in": "header", "name": "Token-User"},
    "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
}
_SECURITY: Sequence[Schema] = (
    {"bearer": []},
    {"tokenCode": [], "tokenUser": []},
    {"session": []},
)
_ERRORS: Mapping[int, str] = {
    400: "The request is wrong, or names nothing that the caller may see.",
    401: "The credentials are missing or not valid.",
    403: "The caller may not do this.",
    408: "Head or body came too slowly.",
    413: "The body is too large.",
    415: "The body is compressed.",
    429: "A limit is reached, such as that of a group's queue or of open requests.",
    500: "The service has a fault.",
    501: "The server does not have this operation.",
    503: "The server is away, or takes no jobs now.",
    504: "The server did not answer in time; the call may have had its effect.",
}
_OF_BODIES = frozenset({408, 413, 415})
_STATUS_OF = {401: -1, 403: 3}
_HEADERS_OF: Mapping[int, str] = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
_ENVELOPED = envelope.EnvelopeResponse.media_type
_ERROR_DATA: Schema = {"$ref": "#/components/schemas/ErrorData"}
PATH = "/openapi.json"
_PROBES: Mapping[str, str] = {
    "/health": "Tells that the gateway lives.",
    "/ready": "Tells whether the server behind the gateway is healthy; 503 when it is not.",
}


def document(
    operations: Iterable[Operation], comments: Mapping[str, str], *, version: str
) -> dict[str, Any]:
    """The document, as JSON values.

    Args:
        operations: what to describe.
        comments: what the protos say about each part, by its name in full.
        version: of the service.
    """
    return _Document(comments).of(tuple(operations), version)


class _Document:
    def __init__(self, comments: Mapping[str, str]) -> None:
        self._comments = comments
        self._schemas: dict[str, Schema] = {"ErrorData": schemas.error_data()}
        self._requests = Requests(self._schemas, comments)
        self._answers = Answers(self._schemas, comments)

    def of(self, operations: Sequence[Operation], version: str) -> dict[str, Any]:
        paths: dict[str, dict[str, Any]] = {}
        for operation in operations:
            at = paths.setdefault(str(operation.path), {})
            at[operation.verb.lower()] = self._operation(operation)
        return {
            "openapi": "3.1.0",
            "info": {"title": "Entrance", "description": _ABOUT, "version": version},
            "tags": [self._tag(name) for name in dict.fromkeys(map(_service, operations))],
            "security": [*_SECURITY],
            "paths": {**paths, **{path: _probe(path, says) for path, says in _PROBES.items()}},
            "components": {
                "schemas": self._schemas,
                "responses": {f"Error{http}": _error(http, says) for http, says in _ERRORS.items()},
                "securitySchemes": dict(_SCHEMES),
            },
        }

    def _tag(self, service: str) -> Schema:
        return {"name": _last(service), "description": self._comments[service]}

    def _operation(self, operation: Operation) -> Schema:
        comment = self._comments[operation.name]
        summary, _, rest = comment.partition(". ")
        return {
            "operationId": _last(operation.name),
            "tags": [_last(_service(operation))],
            "summary": summary.removesuffix("."),
            **({"description": rest} if rest else {}),
            **({"security": []} if operation.is_open else {}),
            "parameters": self._parameters(operation),
            **({"requestBody": self._body(operation)} if operation.has_body else {}),
            "responses": {
                **self._good_answers(operation),
                **{str(http): _error_of(http) for http in _errors_of(operation)},
            },
        }

    def _parameters(self, operation: Operation) -> list[Schema]:
        inside = {name for name in operation.path.variables if name}
        fields = _descriptor(operation.request_class).fields
        given = [field for field in fields if field.name in inside or not operation.has_body]
        parameters = [self._parameter(field, inside) for field in given]
        if _is_followed(operation):
            parameters.append(_resumption())
        return parameters

    def _parameter(self, field: FieldDescriptor, inside: Collection[str]) -> Schema:
        schema = self._requests.field(field)
        in_path = field.name in inside
        return {
            "name": field.name if in_path else field.json_name,
            "in": "path" if in_path else "query",
            "description": schema.pop("description"),
            "required": in_path or self._requests.is_required(field),
            "schema": schema,
            **({} if in_path else {"allowEmptyValue": True}),
            **({"style": "form", "explode": False} if field.is_repeated else {}),
        }

    def _body(self, operation: Operation) -> Schema:
        inside = [name for name in operation.path.variables if name]
        schema = self._requests.body(_descriptor(operation.request_class), without=inside)
        content = {"application/json": {"schema": schema}}
        return {"required": operation.asks_beside_path, "content": content}

    def _good_answers(self, operation: Operation) -> Schema:
        if operation.gives_file:
            return {"200": _file()}
        if operation.streams:
            return {"200": self._events(operation), "204": {"description": "All was sent."}}
        data = self._answers.message(_descriptor(operation.response_class))
        return {"200": _enveloped("OK", data, [0])}

    def _events(self, operation: Operation) -> Schema:
        name, data = self._event_of(_descriptor(operation.response_class))
        final = schemas.closed({"status": schemas.TEXT})
        broken = schemas.envelope(_ERROR_DATA, status=[1, 3, -1])
        every = [_event(name, data), _event("end", final), _event("error", broken)]
        says = (
            "Server-sent events, each as the schema says. The last is `end` with the final status, "
            "or `error` when the stream broke off."
        )
        content = {"text/event-stream": {"schema": {"anyOf": every}}}
        return {"description": says, "content": content}

    def _event_of(self, message: Descriptor) -> tuple[str, Schema]:
        """The name and the data of a stream's own events."""
        if message is pb.StreamLogResponse.DESCRIPTOR:
            return "log", self._lines(pb.LogChunk.DESCRIPTOR)
        if message is pb.WatchJobResponse.DESCRIPTOR:
            return "job", self._answers.message(pb.Job.DESCRIPTOR)
        return "progress", self._answers.message(message)

    def _lines(self, chunk: Descriptor) -> Schema:
        fields = chunk.fields_by_name
        return schemas.closed(
            {
                "fromLine": self._answers.field(fields["from_line"]),
                "level": self._answers.field(fields["level"]),
                "lines": schemas.listed(schemas.TEXT),
            }
        )


def _service(operation: Operation) -> str:
    return operation.name.rpartition(".")[0]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _descriptor(message: type[Message]) -> Descriptor:
    return cast(Descriptor, message.DESCRIPTOR)


def _is_followed(operation: Operation) -> bool:
    return operation.streams and not operation.gives_file


def _enveloped(says: str, data: Schema, status: Sequence[int]) -> Schema:
    schema = schemas.envelope(data, status=status)
    return {"description": says, "content": {_ENVELOPED: {"schema": schema}}}


def _error(http: int, says: str) -> Schema:
    header = _HEADERS_OF.get(http)
    return {
        **_enveloped(says, _ERROR_DATA, [_STATUS_OF.get(http, 1)]),
        **({"headers": {header: {"schema": schemas.TEXT}}} if header else {}),
    }


def _error_of(http: int) -> Schema:
    return {"$ref": f"#/components/responses/Error{http}"}


def _errors_of(operation: Operation) -> Iterable[int]:
    return (http for http in _ERRORS if operation.has_body or http not in _OF_BODIES)


def _file() -> Schema:
    """A file's type depends on what is in it."""
    headers = {"Content-Disposition": {"schema": schemas.TEXT}}
    return {"description": "The file.", "headers": headers, "content": {"*/*": {}}}


def _event(name: str, data: Schema) -> Schema:
    content = schemas.TEXT | {"contentMediaType": "application/json", "contentSchema": data}
    properties = {"event": {"const": name}, "data": content, "id": schemas.TEXT}
    return {"type": "object", "properties": properties, "required": ["event", "data"]}


def _resumption() -> Schema:
    return {
        "name": RESUME_HEADER,
        "in": "header",
        "description": f"The id of the last event that arrived; `{END_ID}` gives 204.",
        "required": False,
        "schema": schemas.TEXT,
    }


def _probe(path: str, says: str) -> Schema:
    return {
        "get": {
            "operationId": path.removeprefix("/"),
            "summary": says,
            "security": [],
            "responses": {
                "200": _enveloped("OK", schemas.closed({}), [0]),
                "503": _error_of(503),
            },
        }
    }
