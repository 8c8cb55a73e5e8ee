"""The OpenAPI document says what the gateway does."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway import envelope, render
from entrance_gateway.app import Application
from entrance_gateway.comments import comments
from entrance_gateway.config import GatewaySettings
from entrance_gateway.events import events_of
from entrance_gateway.openapi import PATH, document
from entrance_gateway.operations import SERVICES, Operation, operations_of

OPERATIONS = list(operations_of(SERVICES))
CALLS = [operation for operation in OPERATIONS if not operation.streams]
DOCUMENT = document(OPERATIONS, comments(), version="1.2.3")


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][str(operation.path)][operation.verb.lower()]
    return found


def validator(schema: Any) -> OAS31Validator:
    """Of a schema that may refer to components."""
    return OAS31Validator({"components": DOCUMENT["components"], **schema})


def data_schema(operation: Operation) -> Any:
    content = described(operation)["responses"]["200"]["content"]
    return content["application/json;charset=UTF-8"]["schema"]["properties"]["data"]


def bare(message: type[Message]) -> Message:
    """A message with nothing in it but what is never left out."""
    return pb.LogResponse(log=[""] * 4) if message is pb.LogResponse else message()


def filled(message: type[Message], depth: int = 3) -> Message:
    """A message with something in every field; one that holds itself does so for some levels."""
    it = message()
    for field in cast(Descriptor, message.DESCRIPTOR).fields:
        fill(it, field, depth)
    return it


def fill(it: Any, field: FieldDescriptor, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(it, field.name)["name"] = "value"
    elif field.message_type is not None and depth:
        part = getattr(it, field.name)
        part = part.add() if field.is_repeated else part
        part.MergeFrom(filled(type(part), depth - 1))
    elif field.message_type is None and field.is_repeated:
        getattr(it, field.name).extend([value_for(field)] * 4)
    elif field.message_type is None:
        setattr(it, field.name, value_for(field))


def value_for(field: FieldDescriptor) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return b"bytes" if field.type == FieldDescriptor.TYPE_BYTES else "text"
    return 1


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_has_an_entry_and_every_entry_a_route() -> None:
    app = Application(GatewaySettings())
    routes = {
        (verb, str(resource.path))
        for resource in app.routes
        for verb in resource.verbs
        if verb != "HEAD"
    }
    entries = {(verb.upper(), path) for path, at in DOCUMENT["paths"].items() for verb in at}
    assert routes - {("GET", PATH)} == entries


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [described(operation)["operationId"] for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert names[0] == "Execute"


def test_the_comments_of_the_protos_are_its_descriptions() -> None:
    kill = described(next(one for one in OPERATIONS if one.rpc.endswith("/Kill")))
    assert kill["summary"] == "Ends a job and every process of it"
    assert kill["parameters"][0]["description"] == "An execID or a taskID."
    job = DOCUMENT["components"]["schemas"]["Job"]
    assert job["properties"]["taskID"]["description"] == (
        "The job's number, unique in the installation."
    )


@pytest.mark.parametrize("operation", CALLS, ids=lambda one: one.name)
def test_an_answer_is_as_its_schema_says(operation: Operation) -> None:
    checked = validator(data_schema(operation))
    for answer in (bare(operation.response_class), filled(operation.response_class)):
        checked.validate(render.data_of(answer, operation.request_class()))


@pytest.mark.parametrize("operation", CALLS, ids=lambda one: one.name)
def test_an_answer_with_a_field_more_is_not(operation: Operation) -> None:
    data = render.data_of(operation.response_class(), operation.request_class())
    assert not validator(data_schema(operation)).is_valid({**data, "surprise": 1})


def test_a_log_is_one_text_or_four() -> None:
    log = next(one for one in CALLS if one.rpc.endswith("/Log"))
    data = {"execID": "", "taskID": 1, "fromLine": 1}
    checked = validator(data_schema(log))
    assert checked.is_valid({**data, "log": ""})
    assert checked.is_valid({**data, "log": ["", "", "", ""]})
    assert not checked.is_valid({**data, "log": ["", "", ""]})


def test_submit_takes_both_forms() -> None:
    submit = next(one for one in CALLS if one.rpc.endswith("/Submit"))
    body = described(submit)["requestBody"]["content"]["application/json"]["schema"]
    checked = validator(body)
    content = {"code": "SELECT 1", "runType": "sql"}
    assert checked.is_valid({"executionContent": content, "labels": {"engineType": "duckdb"}})
    assert checked.is_valid({"executionCode": "SELECT 1", "executeApplicationName": "duckdb"})
    assert not checked.is_valid({"labels": {"engineType": "duckdb"}})


def test_a_parameter_of_the_path_is_not_in_the_query_or_the_body() -> None:
    for operation in OPERATIONS:
        entry = described(operation)
        named = re.findall(r"\{(\w+)\}", str(operation.path))
        places = {one["name"]: one["in"] for one in entry["parameters"]}
        assert [name for name, place in places.items() if place == "path"] == named
        assert ("requestBody" in entry) == operation.has_body
        assert not operation.has_body or "query" not in places.values()


def test_every_error_that_a_call_can_end_with_is_described() -> None:
    outcomes = [*envelope.OUTCOMES.values(), envelope.FAILED, envelope.TOO_MANY_REQUESTS]
    of_bodies = [envelope.BODY_TOO_LARGE, envelope.BODY_ENCODED, envelope.TOO_SLOW]
    for operation in OPERATIONS:
        possible = outcomes + (of_bodies if operation.has_body else [])
        responses = described(operation)["responses"]
        assert {str(outcome.http) for outcome in possible} == responses.keys() - {"200", "204"}


def test_an_error_has_the_status_of_its_envelope() -> None:
    for outcome in envelope.OUTCOMES.values():
        response = DOCUMENT["components"]["responses"][f"Error{outcome.http}"]
        schema = response["content"]["application/json;charset=UTF-8"]["schema"]
        message = envelope.Message("m", outcome.status, "words", {"errCode": 1})
        validator(schema).validate(message.as_dict())
        assert set(outcome.headers) == response.get("headers", {}).keys()


@pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if one.streams and not one.gives_file],
    ids=lambda one: one.name,
)
def test_an_event_is_as_its_schema_says(operation: Operation) -> None:
    content = described(operation)["responses"]["200"]["content"]["text/event-stream"]["schema"]
    data = {
        event["properties"]["event"]["const"]: event["properties"]["data"]["contentSchema"]
        for event in content["anyOf"]
    }
    message: Any = filled(operation.response_class)
    (message.job if hasattr(message, "job") else message).status = pb.JOB_STATUS_SUCCEED
    told = [event for event in events_of(message) if event.name]
    assert len(told) >= 2
    for event in told:
        validator(data[event.name]).validate(event.data)


def test_streams_are_events_and_files() -> None:
    for operation in OPERATIONS:
        if operation.streams:
            (kind,) = described(operation)["responses"]["200"]["content"]
            assert kind == ("*/*" if operation.gives_file else "text/event-stream")
