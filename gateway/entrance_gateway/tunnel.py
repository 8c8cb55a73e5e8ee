"""Unary calls to the server, those of one turn of the event loop in one message of one stream."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import Self, TypeAlias

import grpc
from google.protobuf import duration_pb2
from google.rpc import code_pb2, status_pb2

from entrance.deadlines import Deadlines
from entrance.tunnel.v1 import tunnel_pb2 as pb
from entrance.tunnel.v1 import tunnel_pb2_grpc
from entrance_gateway.credentials import Metadata

_Stream: TypeAlias = "grpc.aio.StreamStreamCall[pb.CarryRequest, pb.CarryResponse]"

RECONNECT = 0.1  # seconds between attempts to open the stream
FULL_MESSAGE = 1024 * 1024  # bytes of calls in one message, unless a single one has more
RESPONSE_LIMIT = 4 * 1024 * 1024  # bytes of a message that gRPC takes unless it is told otherwise


class CallFailed(Exception):
    """The call was answered with an error; `status` has its details."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class CallLost(CallFailed):
    """No answer came, since the stream broke; the call did not act, or does no harm a second time.

    The same call may be made at another server.
    """


class NoTunnel(Exception):
    """The server has no tunnel: it is older than this gateway. The call was not made."""


@dataclass(slots=True)
class _Pending:
    call: pb.Call
    size: int  # bytes, about
    repeatable: bool
    answer: asyncio.Future[bytes]
    sent: bool = False
    breaks: int = 0  # streams that broke before the answer came

    def fail(self, error: Exception) -> None:
        """Answers with an error, unless there is an answer."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Tunnel:
    """The stream, opened anew when it breaks. An async context manager.

    Calls under way in a stream that breaks are sent once more when they only read; others fail as
    UNAVAILABLE, since nobody knows whether they acted.

    Args:
        channel: the way to the server.
        response_limit: bytes of a message that the channel takes; what is larger breaks the stream.
    """

    def __init__(self, channel: grpc.aio.Channel, *, response_limit: int = RESPONSE_LIMIT) -> None:
        self._response_limit = response_limit
        self._stub = tunnel_pb2_grpc.TunnelServiceStub(channel)
        self._numbers = itertools.count(1)
        self._deadlines = Deadlines()
        self._pending: dict[int, _Pending] = {}
        self._unsent: list[_Pending] = []
        self._given_up: list[int] = []
        self._something_to_send = asyncio.Event()
        self._served = True
        self._carrier: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._carrier = asyncio.create_task(self._carry())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._carrier is not None:
            self._carrier.cancel()
            await asyncio.gather(self._carrier, return_exceptions=True)
        for pending in list(self._pending.values()):
            pending.fail(CallFailed(_away("The gateway is stopping.")))

    async def call(
        self, method: str, message: bytes, metadata: Metadata, *, timeout: float, repeatable: bool
    ) -> bytes:
        """The response of a call, in wire form.

        Raises:
            CallFailed: the server answered with an error, is away, or did not answer in time.
            CallLost: it is away, and another one may be asked.
            NoTunnel: the server does not know tunnels.
        """
        if not self._served:
            raise NoTunnel
        call = pb.Call(
            number=next(self._numbers),
            method=method,
            metadata=[pb.Metadata(key=key, value=value) for key, value in metadata],
            timeout=_duration(timeout),
            message=message,
        )
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        size = len(message) + sum(len(key) + len(value) for key, value in metadata)
        pending = _Pending(call, size, repeatable, answer)
        self._pending[call.number] = pending
        self._queue(pending)
        try:
            with self._deadlines.within(timeout):
                return await answer
        except TimeoutError:
            late = status_pb2.Status(code=code_pb2.DEADLINE_EXCEEDED, message="No answer in time.")
            raise CallFailed(late) from None
        finally:
            del self._pending[call.number]
            if pending.sent and answer.cancelled():
                self._given_up.append(call.number)
                self._something_to_send.set()

    def _queue(self, pending: _Pending) -> None:
        self._unsent.append(pending)
        self._something_to_send.set()

    async def _carry(self) -> None:
        while self._served:
            await self._something_to_send.wait()
            self._stream_broke(await self._carry_until_it_breaks())
            await asyncio.sleep(RECONNECT)

    async def _carry_until_it_breaks(self) -> str:
        """Sends calls and takes answers in one stream; tells why it broke."""
        stream: _Stream = self._stub.Carry()
        sending = asyncio.create_task(self._send(stream))
        try:
            while isinstance(response := await stream.read(), pb.CarryResponse):
                for answer in response.answers:
                    self._take(answer)
            return "The server ended the stream."
        except grpc.aio.AioRpcError as error:
            self._served = error.code() is not grpc.StatusCode.UNIMPLEMENTED
            return error.details() or error.code().name
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            stream.cancel()

    async def _send(self, stream: _Stream) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send.clear()
            while self._unsent or self._given_up:
                await stream.write(self._next_message())

    def _next_message(self) -> pb.CarryRequest:
        size = count = 0
        for pending in self._unsent:
            size += pending.size
            if count and size > FULL_MESSAGE:
                break
            pending.sent = True
            count += 1
        request = pb.CarryRequest(
            calls=[one.call for one in self._unsent[:count] if not one.answer.done()],
            cancelled=self._given_up,
            response_limit=self._response_limit,
        )
        del self._unsent[:count]
        self._given_up = []
        return request

    def _take(self, answer: pb.Answer) -> None:
        pending = self._pending.get(answer.number)
        if pending is None or pending.answer.done():
            return
        if answer.WhichOneof("outcome") == "error":
            pending.answer.set_exception(CallFailed(answer.error))
        else:
            pending.answer.set_result(answer.message)

    def _stream_broke(self, reason: str) -> None:
        """Fails what is not known to be safe to repeat, and queues the rest again."""
        self._unsent = []
        self._given_up = []
        for pending in self._pending.values():
            pending.breaks += 1
            if not self._served:
                pending.fail(NoTunnel())
            elif pending.sent and not pending.repeatable:
                pending.fail(CallFailed(_away(reason)))
            elif pending.breaks > 1:
                pending.fail(CallLost(_away(reason)))
            elif not pending.answer.done():
                pending.sent = False
                self._queue(pending)


def _duration(seconds: float) -> duration_pb2.Duration:
    whole, part = divmod(seconds, 1)
    return duration_pb2.Duration(seconds=int(whole), nanos=int(part * 1e9))


def _away(reason: str) -> status_pb2.Status:
    return status_pb2.Status(code=code_pb2.UNAVAILABLE, message=reason)
