"""What a caller is told when a call fails."""

from __future__ import annotations

from typing import TypeVar

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from structlog.testing import capture_logs

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain import errors
from entrance_server.domain.errors import FieldViolation
from entrance_server.rpc.server import Limits
from entrance_server.service.views import KillOutcome
from entrance_server.store.port import StoreUnavailable
from tests.contract.grpc_edge import AS_ALICE, JOB, METHODS, Services, call, serving, stub

Detail = TypeVar("Detail", bound=Message)

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)

EXPECTED = [
    (errors.InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    (errors.NotFound, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
    (errors.Unauthenticated, grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    (errors.PermissionDenied, grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    (errors.WrongState, grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE"),
    (errors.RequestIdReused, grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
    (errors.Exhausted, grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"),
    (errors.Unsupported, grpc.StatusCode.UNIMPLEMENTED, "UNSUPPORTED"),
]


async def refusal(
    services: Services, method: MethodDescriptor, *, limits: Limits | None = None
) -> grpc.aio.AioRpcError:
    """The error of a call that must fail."""
    async with serving(services, limits=limits) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(channel, method)
    return raised.value


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The rich status, which must agree with the plain one."""
    status: status_pb2.Status | None = rpc_status.from_call(error)
    assert status is not None
    return status


def detail(status: status_pb2.Status, kind: type[Detail]) -> Detail | None:
    """The detail of one kind, where there is one."""
    for packed in status.details:
        unpacked = kind()
        if packed.Unpack(unpacked):
            return unpacked
    return None


def method_named(name: str) -> MethodDescriptor:
    return next(method for method in METHODS if method.name == name)


@pytest.mark.parametrize("name", ["Status", "StreamLog"])
@pytest.mark.parametrize(("kind", "code", "reason"), EXPECTED)
async def test_an_error_carries_its_code_reason_number_and_wrong_fields(
    name: str, kind: type[errors.EntranceError], code: grpc.StatusCode, reason: str
) -> None:
    violations = [FieldViolation("labels.engineType", "is required"), FieldViolation("code", "é")]
    error = kind("Ça ne va pas.", err_code=20007, violations=violations)

    answer = await refusal(Services(error=error), method_named(name))

    assert answer.code() is code
    assert answer.details() == "Ça ne va pas."
    status = status_of(answer)
    info = detail(status, error_details_pb2.ErrorInfo)
    assert info == error_details_pb2.ErrorInfo(
        domain="entrance", reason=reason, metadata={"errCode": "20007"}
    )
    bad_request = detail(status, error_details_pb2.BadRequest)
    assert bad_request is not None
    assert [(v.field, v.description) for v in bad_request.field_violations] == [
        ("labels.engineType", "is required"),
        ("code", "é"),
    ]


@pytest.mark.parametrize(
    ("kind", "retriable"),
    [(kind, kind in (errors.Exhausted, errors.Unavailable)) for kind, _, _ in EXPECTED],
)
async def test_an_error_says_when_to_try_again_if_that_can_help(
    kind: type[errors.EntranceError], retriable: bool
) -> None:
    answer = await refusal(Services(error=kind("no")), method_named("Status"))
    retry = detail(status_of(answer), error_details_pb2.RetryInfo)
    assert (retry is not None) is retriable
    assert retry is None or retry.retry_delay.ToSeconds() > 0


async def test_an_error_without_a_number_or_wrong_fields_has_none_of_them() -> None:
    answer = await refusal(Services(error=errors.NotFound("no")), method_named("Status"))
    status = status_of(answer)
    info = detail(status, error_details_pb2.ErrorInfo)
    assert info is not None
    assert not info.metadata
    assert detail(status, error_details_pb2.BadRequest) is None


async def test_an_error_may_have_a_reason_of_its_own() -> None:
    error = errors.InvalidRequest("no", reason="MALFORMED_ID")
    answer = await refusal(Services(error=error), method_named("Status"))
    info = detail(status_of(answer), error_details_pb2.ErrorInfo)
    assert info is not None
    assert info.reason == "MALFORMED_ID"


@every_method
async def test_every_method_tells_the_services_error(method: MethodDescriptor) -> None:
    answer = await refusal(Services(error=errors.NotFound("There is no job 9.")), method)
    assert answer.code() is grpc.StatusCode.NOT_FOUND
    assert answer.details() == "There is no job 9."


@every_method
async def test_a_store_that_is_away_makes_the_service_unavailable(method: MethodDescriptor) -> None:
    with capture_logs() as lines:
        answer = await refusal(Services(error=StoreUnavailable("/var/secret.db is locked")), method)
    assert answer.code() is grpc.StatusCode.UNAVAILABLE
    assert "secret" not in str(answer)
    [line] = [line for line in lines if line["log_level"] == "warning"]
    assert line["error"] == "/var/secret.db is locked"


@every_method
async def test_a_fault_is_told_by_an_incident_that_the_log_explains(
    method: MethodDescriptor,
) -> None:
    with capture_logs() as lines:
        answer = await refusal(Services(error=RuntimeError("/var/secret is broken")), method)
    assert answer.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(answer)
    info = detail(status_of(answer), error_details_pb2.ErrorInfo)
    assert info is not None
    assert info.reason == "INTERNAL"
    incident = info.metadata["incident"]
    assert incident in (answer.details() or "")
    [line] = [line for line in lines if line.get("incident") == incident]
    assert line["log_level"] == "error"
    assert line["method"] == f"/{method.containing_service.full_name}/{method.name}"
    assert str(line["exc_info"]) == "/var/secret is broken"


async def test_an_error_after_some_answers_follows_them() -> None:
    services = Services(error=errors.Unavailable("The log is away."))
    async with serving(services) as channel:
        stream = stub(channel).WatchJob(pb.WatchJobRequest(), metadata=AS_ALICE)
        assert isinstance(await stream.read(), pb.WatchJobResponse)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stream.read()
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_kill_jobs_tells_for_each_job_what_kill_would_tell() -> None:
    error = errors.WrongState(
        "Job 8 has ended.", err_code=20010, violations=[FieldViolation("id", "has ended")]
    )
    kill = await refusal(Services(error=error), method_named("Kill"))
    outcomes = [KillOutcome("7", JOB, None), KillOutcome("8", None, error)]
    async with serving(Services(outcomes=outcomes)) as channel:
        answer = await stub(channel).KillJobs(pb.KillJobsRequest(), metadata=AS_ALICE)
    assert [message.status for message in answer.messages] == [
        status_pb2.Status(),
        status_of(kill),
    ]


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidRequest("x" * 100_000),
        errors.InvalidRequest("語" * 100_000),
        errors.InvalidRequest(
            "語" * 1_000, violations=[FieldViolation(f"f{n}", "語" * 500) for n in range(100)]
        ),
        errors.InvalidRequest("x\n" * 300, violations=[FieldViolation("f", "")] * 10_000),
        errors.InvalidRequest("lone \ud800 surrogate"),
    ],
    ids=["long", "long-unicode", "long-violations", "many-violations", "surrogate"],
)
async def test_an_error_of_any_length_arrives(error: errors.InvalidRequest) -> None:
    answer = await refusal(Services(error=error), method_named("Status"))
    assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert status_of(answer).message == answer.details()
    assert (answer.details() or "")[:5] == error.message[:5]


@pytest.mark.parametrize(
    "request_bytes",
    [b"\xff\xff\xff", pb.GetJobRequest(id="xx").SerializeToString().replace(b"xx", b"\xc3\x28")],
    ids=["no-message", "text-not-utf-8"],
)
@pytest.mark.parametrize("name", ["GetJob", "WatchJob"])
async def test_bytes_that_are_no_message_are_refused(name: str, request_bytes: bytes) -> None:
    services = Services()
    path = f"/entrance.v1.EntranceService/{name}"
    async with serving(services) as channel:
        rpc: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(path)
        with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc(request_bytes, metadata=AS_ALICE).read()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert detail(status_of(raised.value), error_details_pb2.ErrorInfo) is not None
    assert services.asked == []
    assert [line for line in lines if line["log_level"] == "error"] == []


async def test_a_request_over_the_limit_is_refused_and_the_connection_lives() -> None:
    services = Services()
    async with serving(services, limits=Limits(request_bytes=1_000)) as channel:
        request = pb.SubmitRequest(execution_content=pb.ExecutionContent(code="x" * 1_001))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub(channel).Submit(request, metadata=AS_ALICE)
        assert services.asked == []
        await stub(channel).Status(pb.StatusRequest(), metadata=AS_ALICE)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1000" in (raised.value.details() or "")


async def test_a_method_that_is_not_there_is_unimplemented() -> None:
    async with serving(Services()) as channel:
        path = "/entrance.v1.EntranceService/Nothing"
        rpc: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("name", "request_message", "field"),
    [
        ("ListJobs", pb.ListJobsRequest(statuses=[pb.JOB_STATUS_UNSPECIFIED]), "statuses"),
        ("StreamLog", pb.StreamLogRequest(levels=[99]), "levels"),  # type: ignore[list-item]
    ],
)
async def test_an_unknown_enum_value_is_refused_by_its_field(
    name: str, request_message: Message, field: str
) -> None:
    async with serving(Services()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(channel, method_named(name), request_message)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad_request = detail(status_of(raised.value), error_details_pb2.BadRequest)
    assert bad_request is not None
    assert [violation.field for violation in bad_request.field_violations] == [field]
