"""Every operation of the public API: its RPC, and its REST path as the proto states it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from entrance.v1 import entrance_pb2, files_pb2, history_pb2, operation_pb2, users_pb2
from tests.support.rest import Answer, Rest, answer_of

BODY = {"executionContent": {"code": "exit 0", "runType": "shell"}}
FILES = (entrance_pb2, files_pb2, history_pb2, operation_pb2, users_pb2)


@dataclass(frozen=True)
class Route:
    """One operation."""

    method: MethodDescriptor
    verb: str
    path: str

    @property
    def rpc(self) -> str:
        """The RPC's name."""
        return self.method.name

    @property
    def service(self) -> str:
        """The name of the RPC's service."""
        return self.method.containing_service.name

    @property
    def request_class(self) -> type[Any]:
        return GetMessageClass(self.method.input_type)

    @property
    def asked(self) -> Descriptor:
        """What the RPC is asked by."""
        return self.method.input_type

    @property
    def names_a_job(self) -> bool:
        """Whether it concerns one job alone."""
        return "{id}" in self.path and self.rpc != "KillJobs"

    def request(self, id: str) -> Any:
        """The RPC's request for a job."""
        return self.request_class(id=id) if "{id}" in self.path else self.request_class()

    def target(self, id: str) -> str:
        """Its path for a job, or for what else it names."""
        return self.path.replace("{id}", id).replace("{index}", "0")

    def send(self, rest: Rest, id: str) -> Answer:
        """Asks by REST for a job, and expects an envelope, as a refusal is one always."""
        body = BODY if self.verb == "POST" else None
        return answer_of(rest.http.request(self.verb, self.target(id), json=body))


def routes(*services: str) -> Iterator[Route]:
    """All operations of the services, or all that there are."""
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            if not services or service.name in services:
                yield from _routes(service)


def _routes(service: ServiceDescriptor) -> Iterator[Route]:
    for method in service.methods:
        options: Any = method.GetOptions()
        rule = options.Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        yield Route(method, verb.upper(), getattr(rule, verb))
