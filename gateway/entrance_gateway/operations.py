"""The operations: what the annotations of the public API say about verb, path and body."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from entrance.v1 import entrance_pb2, files_pb2, history_pb2, operation_pb2, users_pb2
from entrance_gateway.paths import PathTemplate

SERVICES: Sequence[ServiceDescriptor] = (
    entrance_pb2.DESCRIPTOR.services_by_name["EntranceService"],
    history_pb2.DESCRIPTOR.services_by_name["HistoryService"],
    files_pb2.DESCRIPTOR.services_by_name["FileService"],
    users_pb2.DESCRIPTOR.services_by_name["UserService"],
    users_pb2.DESCRIPTOR.services_by_name["AdministrationService"],
    operation_pb2.DESCRIPTOR.services_by_name["OperationService"],
)

# RPCs of whose callers the server asks no credentials; it decides that, and not the gateway.
_OPEN = frozenset({"entrance.v1.UserService.Login", "entrance.v1.UserService.GetPublicKey"})
_VERBS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    """One RPC at one verb and path."""

    name: str  # such as entrance.v1.EntranceService.Status
    rpc: str  # its gRPC path
    verb: str
    path: PathTemplate
    has_body: bool
    streams: bool
    reads: bool  # it changes nothing, so that it can be repeated
    request_class: type[Message]
    response_class: type[Message]

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs that lead to it: HEAD too, where reading is all that GET does.

        Some operations are documented as GET although they act: a HEAD must not reach them.
        """
        return (self.verb, "HEAD") if self.verb == "GET" and self.reads else (self.verb,)

    @property
    def is_open(self) -> bool:
        """Whether it needs no credentials."""
        return self.name in _OPEN

    @property
    def asks_beside_path(self) -> bool:
        """Whether its request has fields that are not in the path."""
        fields = self.request_class.DESCRIPTOR.fields
        return any(field.name not in self.path.variables for field in fields)

    @property
    def gives_file(self) -> bool:
        """Whether its stream is one file in pieces, which are the bytes `data` of each message."""
        data = self.response_class.DESCRIPTOR.fields_by_name.get("data")
        return self.streams and data is not None and data.type == FieldDescriptor.TYPE_BYTES


def operations_of(services: Iterable[ServiceDescriptor]) -> Iterator[Operation]:
    """Every annotated RPC of the services.

    Raises:
        ValueError: an annotation asks for what the gateway can't do.
    """
    for service in services:
        for method in service.methods:
            options: Any = method.GetOptions()
            rule: http_pb2.HttpRule = options.Extensions[annotations_pb2.http]
            if rule.WhichOneof("pattern"):
                yield from (_operation(method, r) for r in (rule, *rule.additional_bindings))


def _operation(method: MethodDescriptor, rule: http_pb2.HttpRule) -> Operation:
    verb = rule.WhichOneof("pattern")
    if verb not in _VERBS or rule.body not in ("", "*") or method.client_streaming:
        raise ValueError(f"{method.full_name}: its REST annotation is of an unsupported kind")
    return Operation(
        name=method.full_name,
        rpc=f"/{method.containing_service.full_name}/{method.name}",
        verb=verb.upper(),
        path=PathTemplate.parse(getattr(rule, verb)),
        has_body=rule.body == "*",
        streams=method.server_streaming,
        reads=method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
        request_class=GetMessageClass(method.input_type),
        response_class=GetMessageClass(method.output_type),
    )


WHO_CALLS = next(one for one in operations_of(SERVICES) if one.name.endswith(".GetUserInfo"))
