"""The gRPC API by its stubs, with an error's code and details as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from entrance.v1 import entrance_pb2_grpc
from tests.support.waiting import PATIENCE


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
        self._stub = entrance_pb2_grpc.EntranceServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def call(self, name: str, request: Any) -> Any:
        """The answer of a call, or the stream of answers."""
        method = getattr(self._stub, name)
        return method(request, timeout=PATIENCE, metadata=self.metadata)

    def refusal(self, name: str, request: Any) -> Refusal:
        """Why a call is refused; fails when it is not."""
        return refused(lambda: _read(self.call(name, request)))


def refused(call: Callable[[], object]) -> Refusal:
    """Why a call is refused; fails when it is not."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
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
