"""Every operation of the public API: its RPC, and its REST path as the proto states it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from entrance.v1 import entrance_pb2 as pb
from tests.support.rest import ROOT, Answer, Rest, answer_of

BODY = {"executionContent": {"code": "exit 0", "runType": "shell"}}


@dataclass(frozen=True)
class Route:
    """One operation."""

    rpc: str
    verb: str
    path: str
    request_class: type[Any]

    @property
    def names_a_job(self) -> bool:
        """Whether it concerns one job alone."""
        return "{id}" in self.path and self.rpc != "KillJobs"

    def request(self, id: str) -> Any:
        """The RPC's request for a job."""
        return self.request_class(id=id) if "{id}" in self.path else self.request_class()

    def send(self, rest: Rest, id: str) -> Answer:
        """Asks by REST for a job, and expects an envelope, as a refusal is one always."""
        path = self.path.replace("{id}", id).replace("{index}", "0")
        body = BODY if self.verb == "POST" else None
        return answer_of(rest.http.request(self.verb, path, json=body))


def routes() -> Iterator[Route]:
    """All operations."""
    for method in pb.DESCRIPTOR.services_by_name["EntranceService"].methods:
        yield _route(method)


def _route(method: MethodDescriptor) -> Route:
    options: Any = method.GetOptions()
    rule = options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    path: str = getattr(rule, verb)
    assert path.startswith(ROOT)
    return Route(method.name, verb.upper(), path, GetMessageClass(method.input_type))
