"""Who may call what."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.job import Principal
from tests.contract.grpc_edge import (
    ALICE,
    AS_ALICE,
    AS_ROOT,
    METHODS,
    ROOT,
    Metadata,
    Services,
    call,
    serving,
    stub,
)

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def test_every_method_is_here() -> None:
    assert len(METHODS) == 28


@every_method
async def test_a_call_without_credentials_is_refused(method: MethodDescriptor) -> None:
    services = Services()
    async with serving(services) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(channel, method, metadata=())
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert services.asked == []


@every_method
async def test_a_call_with_wrong_credentials_is_refused(method: MethodDescriptor) -> None:
    services = Services()
    async with serving(services) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(channel, method, metadata=[("authorization", "Bearer mallory")])
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert services.asked == []


@pytest.mark.parametrize(("metadata", "principal"), [(AS_ALICE, ALICE), (AS_ROOT, ROOT)])
@pytest.mark.parametrize(
    "method", [m for m in METHODS if m.name != "ListEngines"], ids=lambda method: method.name
)
async def test_the_service_is_told_who_calls(
    method: MethodDescriptor, metadata: Metadata, principal: Principal
) -> None:
    services = Services()
    async with serving(services) as channel:
        await call(channel, method, metadata=metadata)
    assert services.asked[0][0] == principal


async def test_each_call_of_a_connection_has_a_caller_of_its_own() -> None:
    services = Services()
    async with serving(services) as channel:
        await stub(channel).GetJob(pb.GetJobRequest(id="1"), metadata=AS_ROOT)
        await stub(channel).GetJob(pb.GetJobRequest(id="2"), metadata=AS_ALICE)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub(channel).GetJob(pb.GetJobRequest(id="3"))
    assert [asked[:2] for asked in services.asked] == [(ROOT, "1"), (ALICE, "2")]


async def test_health_answers_without_credentials() -> None:
    async with serving(Services()) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_names_the_service_without_credentials() -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with serving(Services()) as channel:
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = [answer async for answer in reflection.ServerReflectionInfo(iter([request]))]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {"entrance.v1.EntranceService", "grpc.health.v1.Health"} <= names


@pytest.mark.parametrize(
    ("metadata", "code"),
    [((), grpc.StatusCode.UNAUTHENTICATED), (AS_ALICE, grpc.StatusCode.PERMISSION_DENIED)],
)
async def test_channelz_is_for_administrators_alone(
    metadata: Metadata, code: grpc.StatusCode
) -> None:
    async with serving(Services()) as channel:
        channelz = channelz_pb2_grpc.ChannelzStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await channelz.GetServers(channelz_pb2.GetServersRequest(), metadata=metadata)
    assert refusal.value.code() is code


async def test_who_is_no_administrator_is_told_what_to_send() -> None:
    async with serving(Services()) as channel:
        channelz = channelz_pb2_grpc.ChannelzStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await channelz.GetServers(channelz_pb2.GetServersRequest(), metadata=AS_ALICE)
    told = "This is for administrators alone; send a token of one."
    assert refusal.value.details() == told


async def test_channelz_shows_an_administrator_the_server() -> None:
    async with serving(Services()) as channel:
        channelz = channelz_pb2_grpc.ChannelzStub(channel)
        answer = await channelz.GetServers(channelz_pb2.GetServersRequest(), metadata=AS_ROOT)
    assert answer.server
