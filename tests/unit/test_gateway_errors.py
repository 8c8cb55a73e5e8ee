"""How errors look in the envelope."""

from __future__ import annotations

import json

import grpc
import pytest
from google.rpc import status_pb2

from entrance_gateway.envelope import EnvelopeResponse, Message
from entrance_gateway.errors import Refusal, Violation, from_rpc, from_status, wrong_field
from tests.contract.rest_gateway import failure

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "status", "http"),
    [
        (Code.INVALID_ARGUMENT, 1, 400),
        (Code.OUT_OF_RANGE, 1, 400),
        (Code.FAILED_PRECONDITION, 1, 400),
        (Code.NOT_FOUND, 1, 400),
        (Code.ALREADY_EXISTS, 1, 400),
        (Code.UNAUTHENTICATED, -1, 401),
        (Code.PERMISSION_DENIED, 3, 403),
        (Code.RESOURCE_EXHAUSTED, 1, 429),
        (Code.UNAVAILABLE, 1, 503),
        (Code.DEADLINE_EXCEEDED, 1, 504),
        (Code.UNIMPLEMENTED, 1, 501),
        (Code.INTERNAL, 1, 500),
        (Code.UNKNOWN, 1, 500),
        (Code.DATA_LOSS, 1, 500),
        (Code.ABORTED, 1, 500),
        (Code.CANCELLED, 1, 503),
    ],
)
def test_each_code_has_its_status(code: grpc.StatusCode, status: int, http: int) -> None:
    refusal = from_status(failure(code, "The words."))
    assert (refusal.outcome.status, refusal.outcome.http) == (status, http)
    assert refusal.words == "The words."


@pytest.mark.parametrize(
    "code",
    [
        Code.UNKNOWN,
        Code.INTERNAL,
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.UNIMPLEMENTED,
    ],
)
def test_words_that_were_not_written_for_callers_are_not_shown(code: grpc.StatusCode) -> None:
    refusal = from_status(status_pb2.Status(code=code.value[0], message="ipv4:10.0.0.1 secret"))
    assert "secret" not in refusal.words
    assert refusal.words


def test_a_code_of_the_future_is_a_failure() -> None:
    assert from_status(status_pb2.Status(code=77, message="secret")).outcome.http == 500


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE])
def test_what_can_succeed_later_says_when_to_try(code: grpc.StatusCode) -> None:
    assert int(from_status(failure(code)).headers["Retry-After"]) > 0


def test_not_being_logged_in_says_how_to_be() -> None:
    assert from_status(failure(Code.UNAUTHENTICATED)).headers["WWW-Authenticate"]


def test_an_error_number_stands_in_the_data_and_at_the_head_of_the_message() -> None:
    refusal = from_status(failure(Code.INVALID_ARGUMENT, "Blank.", err_code=20007, reason="BLANK"))
    assert refusal.message("/api/entrance/execute").as_dict() == {
        "method": "/api/entrance/execute",
        "status": 1,
        "message": "errCode: 20007 ,desc: Blank.",
        "data": {"errCode": 20007, "reason": "BLANK"},
    }


def test_wrong_fields_are_listed() -> None:
    refusal = from_status(failure(Code.INVALID_ARGUMENT, violations={"labels": "is missing"}))
    assert refusal.message("m").data["violations"] == [
        {"field": "labels", "description": "is missing"}
    ]


def test_an_error_without_details_has_empty_data() -> None:
    plain = status_pb2.Status(code=Code.NOT_FOUND.value[0], message="No job.")
    assert from_status(plain).message("m") == Message("m", 1, "No job.", {})


def test_details_that_contradict_the_call_are_not_believed() -> None:
    key = "grpc-status-details-bin"
    other = failure(Code.INTERNAL, "other", err_code=1).SerializeToString()
    for details in (other, b"\xff\xff"):
        metadata = grpc.aio.Metadata((key, details))
        error = grpc.aio.AioRpcError(Code.NOT_FOUND, grpc.aio.Metadata(), metadata, "No job.")
        assert from_rpc(error).message("m") == Message("m", 1, "No job.", {})


def test_a_wrong_field_is_told_in_words_and_in_data() -> None:
    refusal = wrong_field("labels", "must be an object")
    assert refusal.words == "'labels' must be an object."
    assert refusal.violations == (Violation("labels", "must be an object"),)
    assert refusal.err_code == 20010


def test_other_data_of_an_answer_stays_beside_the_error() -> None:
    refusal = Refusal("No.", err_code=5)
    assert refusal.message("m", {"execID": "e"}).data == {"execID": "e", "errCode": 5}


def test_an_envelope_is_json_in_utf_8() -> None:
    response = EnvelopeResponse(Message("/ä", 0, "OK", {"a": None}))
    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    assert (
        bytes(response.body)
        == '{"method":"/ä","status":0,"message":"OK","data":{"a":null}}'.encode()
    )


def test_an_echoed_half_of_a_surrogate_pair_does_not_break_the_answer() -> None:
    response = EnvelopeResponse(Message("m", 1, "'\ud800' is wrong."))
    assert json.loads(bytes(response.body))["message"] == "'?' is wrong."
