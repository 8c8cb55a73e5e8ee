"""The server behind the gateway: one line to it, and calls and streams with deadlines."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Self

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from entrance import targets
from entrance.tls import TlsContent
from entrance_gateway import envelope, errors, tls
from entrance_gateway.config import GatewaySettings
from entrance_gateway.credentials import Metadata
from entrance_gateway.line import Line, Lines
from entrance_gateway.operations import WHO_CALLS, Operation
from entrance_gateway.stream import Source, Stream
from entrance_gateway.tunnel import FULL_MESSAGE, CallFailed, CallLost, NoTunnel, Tunnel

_HEALTH_RPC = "/grpc.health.v1.Health/Check"

# A server takes more frequent pings for an attack, unless it is set to allow them.
_KEEPALIVE_MS = 300_000
_RECONNECT_MS = (200, 3_000)  # first and longest wait between attempts to connect

# A channel to one of several servers is not ready while that one says that it does not serve; only
# the policy round_robin asks.
_AMONG_SEVERAL: Final[Mapping[str, int | str]] = {
    **targets.ATTENTIVE,
    "grpc.service_config": json.dumps(
        {
            "loadBalancingConfig": [{"round_robin": {}}],
            "healthCheckConfig": {"serviceName": ""},
        }
    ),
}


class Backend:
    """What the gateway asks of the server, over a line that it owns while it is entered.

    The line is replaced when certificates change; calls that are under way stay on the old one.
    """

    def __init__(self, settings: GatewaySettings, channel: grpc.aio.Channel | None = None) -> None:
        self._settings = settings
        self._given = channel
        self._lines = Lines([Line(channel)]) if channel else None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        source = await asyncio.to_thread(tls.to_server, self._settings)
        self._lines = Lines(await self._connected(source.content if source else None))
        if source is not None and self._given is None:
            await self._stack.enter_async_context(tls.kept_current(source, self._reconnect))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        for line in self._lines or ():
            await line.close()

    @property
    def lines(self) -> Lines:
        """The lines; there from the start of the application to its end."""
        if self._lines is None:
            raise RuntimeError("the lines open when the application starts")
        return self._lines

    async def check_caller(self, metadata: Metadata) -> None:
        """Asks the server whether it knows a caller; any other trouble is not told here.

        Raises:
            Refusal: it does not.
        """
        try:
            await self.call(WHO_CALLS, WHO_CALLS.request_class(), metadata)
        except errors.Refusal as refusal:
            if refusal.outcome is envelope.NOT_LOGGED_IN:
                raise

    async def call(self, operation: Operation, request: Message, metadata: Metadata) -> Message:
        """The answer of a unary RPC.

        Raises:
            Refusal: the server answered with an error, or not in time.
        """
        deadline = time.monotonic() + self._settings.call_deadline
        first = self.lines.next()
        try:
            return await self._call(first, operation, request, metadata, deadline)
        except CallLost as lost:
            last = lost
        for line in self.lines.others(first):
            try:
                return await self._call(line, operation, request, metadata, deadline)
            except CallLost as lost:
                last = lost
        raise errors.from_status(last.status) from last

    async def _call(
        self, line: Line, operation: Operation, request: Message, metadata: Metadata, until: float
    ) -> Message:
        """The answer of one server.

        Raises:
            Refusal: as `call`.
            CallLost: the server is away, and another one may be asked.
        """
        timeout = max(until - time.monotonic(), 0.0)
        message = request.SerializeToString()
        async with line:
            # one that may be too large for the server goes alone, since it would break the tunnel
            if line.tunnel is not None and len(message) <= FULL_MESSAGE:
                try:
                    answer = await line.tunnel.call(
                        operation.rpc,
                        message,
                        metadata,
                        timeout=timeout,
                        repeatable=operation.reads,
                    )
                    return operation.response_class.FromString(answer)
                except CallLost:
                    raise
                except CallFailed as failed:
                    raise errors.from_status(failed.status) from failed
                except NoTunnel:
                    line.tunnel = None
            return await self._call_alone(line, operation, request, metadata, timeout)

    async def _call_alone(
        self,
        line: Line,
        operation: Operation,
        request: Message,
        metadata: Metadata,
        timeout: float,
    ) -> Message:
        rpc = line.channel.unary_unary(
            operation.rpc,
            request_serializer=operation.request_class.SerializeToString,
            response_deserializer=operation.response_class.FromString,
        )
        try:
            return await rpc(request, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            status = errors.status_of(error)
            is_away = error.code() is grpc.StatusCode.UNAVAILABLE and not status.details
            if is_away and operation.reads:
                raise CallLost(status) from error
            raise errors.from_status(status) from error

    @asynccontextmanager
    async def stream(
        self,
        operation: Operation,
        request: Message,
        metadata: Metadata,
        *,
        until: asyncio.Event | None = None,
        patient: bool = False,
    ) -> AsyncIterator[Stream]:
        """Opens a server-streaming RPC, which is cancelled when the context is left.

        One about a job goes on at another server when its own is lost.

        Args:
            operation: which RPC.
            request: its request.
            metadata: the caller's credentials.
            until: ends the stream for the reader when it is set.
            patient: wait for the server when it is away, rather than fail at once.
        """
        source = Source(lambda: self.lines, operation, request, metadata)
        async with source, Stream(source, until) as stream:
            await source.open(patient=patient)
            yield stream

    async def is_serving(self) -> bool:
        """Whether a server says that it is healthy; False when none does in time."""
        return await self._says_well(self.lines.next())

    async def _says_well(self, line: Line) -> bool:
        async with line:
            check = line.channel.unary_unary(
                _HEALTH_RPC,
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            try:
                answer = await check(
                    health_pb2.HealthCheckRequest(), timeout=self._settings.ready_deadline
                )
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def _connected(self, content: TlsContent | None) -> Sequence[Line]:
        settings = self._settings
        if self._given is not None:
            return [await self._line(self._given, owned=False)]
        named = targets.split(settings.server_target)
        channels = [_open(settings, one, content, alone=len(named) == 1) for one in named]
        return [await self._line(channel, owned=True) for channel in channels]

    async def _line(self, channel: grpc.aio.Channel, *, owned: bool) -> Line:
        limit = self._settings.message_limit
        tunnel = Tunnel(channel, response_limit=limit) if self._settings.tunnel else None
        return await Line.opened(channel, tunnel=tunnel, owned=owned)

    async def _reconnect(self, content: TlsContent) -> None:
        """Lets new calls go by new certificates, and old ones to their end."""
        for line in self.lines.replace(await self._connected(content)):
            await line.retire()


def _open(
    settings: GatewaySettings, target: str, content: TlsContent | None, *, alone: bool
) -> grpc.aio.Channel:
    first, longest = _RECONNECT_MS
    options: dict[str, int | str] = {
        "grpc.max_receive_message_length": settings.message_limit,
        "grpc.keepalive_time_ms": _KEEPALIVE_MS,
        "grpc.initial_reconnect_backoff_ms": first,
        "grpc.max_reconnect_backoff_ms": longest,
        "grpc.enable_http_proxy": 0,
        **({} if alone else _AMONG_SEVERAL),
    }
    if content is None:
        return grpc.aio.insecure_channel(target, tuple(options.items()))
    return grpc.aio.secure_channel(target, content.channel_credentials(), tuple(options.items()))
