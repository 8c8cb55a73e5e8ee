"""What the annotations of the public API mean."""

from __future__ import annotations

from typing import Any

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway.operations import SERVICES, Operation, operations_of

ROOT = "/api/rest_j/v1/entrance"
OPERATIONS = {operation.name.rpartition(".")[2]: operation for operation in operations_of(SERVICES)}


def path_of(operation: Operation) -> str:
    return "/" + "/".join(operation.path.segments)


def annotated(rule: http_pb2.HttpRule, *, client_streaming: bool = False) -> ServiceDescriptor:
    """A service with one RPC that has this annotation."""
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", package="x", syntax="proto3")
    file.dependency.append(pb.DESCRIPTOR.name)
    method = file.service.add(name="Other").method.add(
        name="Do",
        input_type=".entrance.v1.GetJobRequest",
        output_type=".entrance.v1.GetJobResponse",
        client_streaming=client_streaming,
    )
    options: Any = method.options
    options.Extensions[annotations_pb2.http].CopyFrom(rule)
    pool = descriptor_pool.DescriptorPool()
    for known in _with_dependencies(pb.DESCRIPTOR):
        pool.Add(known)
    pool.Add(file)
    return pool.FindServiceByName("x.Other")


def _with_dependencies(file: Any) -> list[descriptor_pb2.FileDescriptorProto]:
    found = dict[str, descriptor_pb2.FileDescriptorProto]()
    for dependency in file.dependencies:
        found |= {proto.name: proto for proto in _with_dependencies(dependency)}
    own = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(own)
    return [*found.values(), own]


def test_every_rpc_has_an_operation() -> None:
    assert set(OPERATIONS) == {method.name for service in SERVICES for method in service.methods}


@pytest.mark.parametrize(
    ("name", "verb", "path"),
    [
        ("Execute", "POST", "/execute"),
        ("Submit", "POST", "/submit"),
        ("Status", "GET", "/{id}/status"),
        ("Progress", "GET", "/{id}/progress"),
        ("ProgressWithResource", "GET", "/{id}/progressWithResource"),
        ("Log", "GET", "/{id}/log"),
        ("Kill", "GET", "/{id}/kill"),
        ("KillJobs", "POST", "/{id}/killJobs"),
        ("Pause", "GET", "/{id}/pause"),
        ("Resume", "GET", "/{id}/resume"),
    ],
)
def test_the_documented_operations_are_at_their_documented_paths(
    name: str, verb: str, path: str
) -> None:
    assert (OPERATIONS[name].verb, path_of(OPERATIONS[name])) == (verb, ROOT + path)


def test_only_what_is_posted_has_a_body() -> None:
    with_body = {name for name, operation in OPERATIONS.items() if operation.has_body}
    assert with_body == {name for name, one in OPERATIONS.items() if one.verb == "POST"}
    assert with_body >= {"Execute", "Submit", "Preview", "KillJobs", "Login"}


def test_head_reads_and_never_acts() -> None:
    got = {name: operation for name, operation in OPERATIONS.items() if operation.verb == "GET"}
    acting = {name for name, operation in got.items() if "HEAD" not in operation.verbs}
    assert acting == {"Kill", "Pause", "Resume", "Heartbeat", "MarkOffline", "BackOnline"}
    assert all("HEAD" not in one.verbs for one in OPERATIONS.values() if one.verb != "GET")


def test_a_body_may_be_left_out_where_the_path_says_everything() -> None:
    posted = {name: one for name, one in OPERATIONS.items() if one.has_body}
    without = {name for name, operation in posted.items() if not operation.asks_beside_path}
    assert without == {"Logout", "RevokeToken"}


def test_a_stream_of_bytes_is_a_file_and_any_other_one_of_events() -> None:
    files = {name for name, operation in OPERATIONS.items() if operation.gives_file}
    assert files == {"StreamResult", "ResultsetToExcel", "Download"}


def test_another_service_gets_its_routes_from_its_annotations_alone() -> None:
    rule = http_pb2.HttpRule(
        delete="/a/{id}", additional_bindings=[http_pb2.HttpRule(post="/b", body="*")]
    )
    first, second = operations_of([annotated(rule)])
    assert (first.verb, path_of(first), first.has_body) == ("DELETE", "/a/{id}", False)
    assert (second.verb, path_of(second), second.has_body) == ("POST", "/b", True)
    assert first.rpc == "/x.Other/Do"


def test_an_rpc_without_an_annotation_has_no_route() -> None:
    assert list(operations_of([annotated(http_pb2.HttpRule())])) == []


@pytest.mark.parametrize(
    ("rule", "client_streaming"),
    [
        (http_pb2.HttpRule(post="/a", body="job"), False),
        (http_pb2.HttpRule(custom=http_pb2.CustomHttpPattern(kind="PURGE", path="/a")), False),
        (http_pb2.HttpRule(post="/a", body="*"), True),
        (http_pb2.HttpRule(get="/a/{b=**}"), False),
    ],
)
def test_an_annotation_that_asks_for_more_is_refused_at_the_start(
    rule: http_pb2.HttpRule, client_streaming: bool
) -> None:
    with pytest.raises(ValueError, match=r"supported"):
        list(operations_of([annotated(rule, client_streaming=client_streaming)]))
