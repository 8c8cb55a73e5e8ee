"""The gRPC API by its stubs, with an error's code and details as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from entrance.v1 import entrance_pb2
from tests.support.waiting import PATIENCE

SERVICE = entrance_pb2.DESCRIPTOR.services_by_name["EntranceService"]


@dataclass(frozen=True)
class Refusal:
    """Why a call was refused."""

    code: grpc.StatusCode
    message: str
    reason: str
    err_code: str | None
    violations: dict[str, str]


class Rpc:
    """Calls in one caller's name."""

    def __init__(self, port: int, token: str | None) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def close(self) -> None:
        self.channel.close()

    def call(self, name: str, request: Any) -> Any:
        """The answer of one of EntranceService's RPCs, or its stream of answers."""
        return self.invoke(SERVICE.methods_by_name[name], request)

    def invoke(self, method: MethodDescriptor, request: Any) -> Any:
        """The answer of any RPC, or its stream of answers."""
        open_rpc: Any = (
            self.channel.unary_stream if method.server_streaming else self.channel.unary_unary
        )
        rpc = open_rpc(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return rpc(request, timeout=PATIENCE, metadata=self.metadata)

    def refusal(self, name: str, request: Any) -> Refusal:
        """Why a call to EntranceService is refused; fails when it is not."""
        return self.refusal_of(SERVICE.methods_by_name[name], request)

    def refusal_of(self, method: MethodDescriptor, request: Any) -> Refusal:
        """Why a call of any RPC is refused; fails when it is not."""
        return refused(lambda: _read(self.invoke(method, request)))


def refused(call: Callable[[], object]) -> Refusal:
    """Why a call is refused; fails when it is not."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return refusal_in(caught.value)


def refusal_in(error: Any) -> Refusal:
    """What a call's error tells."""
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        if not detail.Unpack(info):
            detail.Unpack(bad_request)
    return Refusal(
        code=error.code(),
        message=error.details(),
        reason=info.reason,
        err_code=info.metadata.get("errCode"),
        violations={one.field: one.description for one in bad_request.field_violations},
    )


def _read(answer: Any) -> None:
    if not isinstance(answer, Message):
        list(answer)  # a stream is refused when it is read
