"""The table of errors."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain import errors as domain_errors
from entrance_server.domain.errors import (
    EntranceError,
    FieldViolation,
    InvalidRequest,
    NotFound,
    TooManyAttempts,
)
from entrance_server.logs import LogUnavailable
from entrance_server.results import ResultUnavailable
from entrance_server.rpc import errors
from entrance_server.store.port import StoreUnavailable


def test_every_kind_of_error_of_the_domain_has_a_code_of_its_own() -> None:
    kinds = {kind for kind in vars(domain_errors).values() if isinstance(kind, type)}
    assert {kind for kind in kinds if EntranceError in kind.__bases__} <= set(errors.CODES)
    assert len(set(errors.CODES.values())) == len(errors.CODES)


def test_a_narrower_error_has_the_code_of_its_nearest_kin() -> None:
    class NoSuchEngine(NotFound):
        pass

    assert errors.code_of(NoSuchEngine("no")) is grpc.StatusCode.NOT_FOUND


def test_an_error_of_no_kind_is_unknown() -> None:
    assert errors.code_of(EntranceError("no")) is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize("kind", [StoreUnavailable, LogUnavailable, ResultUnavailable])
def test_a_storage_that_is_away_is_told_without_its_name(kind: type[Exception]) -> None:
    known = errors.known(kind("/var/secret.db is locked"))
    assert known is not None
    assert errors.code_of(known) is grpc.StatusCode.UNAVAILABLE
    assert "secret" not in known.message


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), TimeoutError("x")])
def test_an_error_that_nobody_foresaw_is_not_told(error: Exception) -> None:
    assert errors.known(error) is None


def test_too_many_attempts_tell_when_to_come_back() -> None:
    status = errors.status_of(TooManyAttempts("Wait.", retry_after=12.3))
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToTimedelta() == timedelta(seconds=13)


def test_a_fault_names_its_incident() -> None:
    status = errors.status_of(errors.InternalError("1f2e"))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.metadata == {"incident": "1f2e"}
    assert "1f2e" in status.message


violations = st.builds(FieldViolation, field=st.text(), description=st.text(max_size=3_000))


@given(st.text(max_size=3_000), st.lists(violations, max_size=20))
def test_a_status_is_bounded_and_begins_as_the_error_does(
    message: str, wrong: list[FieldViolation]
) -> None:
    status = errors.status_of(InvalidRequest(message, violations=wrong))
    assert status.ByteSize() < 4_000
    assert message.startswith(status.message.removesuffix("…"))
    for detail in status.details:
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(bad_request):
            told = [violation.field for violation in bad_request.field_violations]
            assert told == [violation.field for violation in wrong[: len(told)]]
