"""What operators and tools of gRPC and HTTP expect beside the API: health, reflection, channelz."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.support.rest import answer_of
from tests.support.rpc import refused
from tests.support.service import Caller, Service
from tests.support.waiting import PATIENCE, until

ENTRANCE = "entrance.v1.EntranceService"


class TestHealth:
    @pytest.mark.parametrize("name", ["", ENTRANCE])
    def test_tells_anybody_that_the_service_serves(self, service: Service, name: str) -> None:
        stub = health_pb2_grpc.HealthStub(service.nobody.rpc.channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    def test_of_an_unknown_service_is_not_found(self, service: Service) -> None:
        stub = health_pb2_grpc.HealthStub(service.nobody.rpc.channel)
        request = health_pb2.HealthCheckRequest(service="other.Service")
        refusal = refused(lambda: stub.Check(request, timeout=PATIENCE))
        assert refusal.code is grpc.StatusCode.NOT_FOUND

    @pytest.mark.parametrize("path", ["/health", "/ready"])
    def test_by_http(self, service: Service, path: str) -> None:
        answer = answer_of(service.nobody.rest.http.get(path))
        assert (answer.http, answer.status) == (200, 0)

    def test_by_http_says_when_the_server_is_away(self, own_service: Service) -> None:
        http = own_service.nobody.rest.http
        own_service.server.kill()
        assert http.get("/health").status_code == 200
        assert answer_of(http.get("/ready")).http == 503
        own_service.start_server()
        until(lambda: http.get("/ready").status_code == 200, "the server is found again")


class TestReflection:
    def test_lists_the_services_to_anybody(self, service: Service) -> None:
        (answer,) = _reflect(service, list_services="")
        names = {one.name for one in answer.list_services_response.service}
        assert {ENTRANCE, "grpc.health.v1.Health"} <= names

    def test_describes_every_method(self, service: Service) -> None:
        (answer,) = _reflect(service, file_containing_symbol=ENTRANCE)
        file = FileDescriptorProto.FromString(
            answer.file_descriptor_response.file_descriptor_proto[0]
        )
        methods = {method.name for one in file.service for method in one.method}
        assert {"Execute", "Submit", "Kill", "KillJobs", "Log", "StreamLog"} <= methods


class TestChannelz:
    def test_tells_an_administrator_of_the_server_s_calls(self, service: Service) -> None:
        answer = _servers(service.admin)
        assert answer.server[0].data.calls_started > 0

    def test_is_closed_to_others(self, service: Service) -> None:
        for caller, code in (
            (service.alice, grpc.StatusCode.PERMISSION_DENIED),
            (service.nobody, grpc.StatusCode.UNAUTHENTICATED),
        ):
            assert refused(functools.partial(_servers, caller)).code is code


def _servers(caller: Caller) -> Any:
    stub = channelz_pb2_grpc.ChannelzStub(caller.rpc.channel)
    request = channelz_pb2.GetServersRequest()
    return stub.GetServers(request, metadata=caller.rpc.metadata, timeout=PATIENCE)


def _reflect(service: Service, **question: str) -> Iterator[Any]:
    stub = reflection_pb2_grpc.ServerReflectionStub(service.nobody.rpc.channel)
    request = reflection_pb2.ServerReflectionRequest(**question)
    answers: Iterator[Any] = stub.ServerReflectionInfo(iter([request]), timeout=PATIENCE)
    return answers
