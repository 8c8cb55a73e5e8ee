"""The server behind the gateway: one channel, and calls and streams with deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from entrance_gateway import errors
from entrance_gateway.config import GatewaySettings
from entrance_gateway.credentials import Metadata
from entrance_gateway.operations import Operation
from entrance_gateway.tunnel import CallFailed, NoTunnel, Tunnel

_HEALTH_RPC = "/grpc.health.v1.Health/Check"

# A server takes more frequent pings for an attack, unless it is set to allow them.
_KEEPALIVE_MS = 300_000
_RECONNECT_MS = (200, 3_000)  # first and longest wait between attempts to connect


class Backend:
    """What the gateway asks of the server, over one channel that it owns while it is entered."""

    def __init__(self, settings: GatewaySettings, channel: grpc.aio.Channel | None = None) -> None:
        self._settings = settings
        self._given = channel
        self._channel: grpc.aio.Channel | None = channel
        self._tunnel: Tunnel | None = None

    async def __aenter__(self) -> Self:
        self._channel = self._given or _open(self._settings)
        if self._settings.tunnel:
            self._tunnel = await Tunnel(self._channel).__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._tunnel is not None:
            await self._tunnel.__aexit__()
        if self._channel is not None and self._given is None:
            await self._channel.close()

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel; there from the start of the application to its end."""
        if self._channel is None:
            raise RuntimeError("the channel opens when the application starts")
        return self._channel

    async def call(self, operation: Operation, request: Message, metadata: Metadata) -> Message:
        """The answer of a unary RPC.

        Raises:
            Refusal: the server answered with an error, or not in time.
        """
        if self._tunnel is not None:
            try:
                answer = await self._tunnel.call(
                    operation.rpc,
                    request.SerializeToString(),
                    metadata,
                    timeout=self._settings.call_deadline,
                    repeatable=operation.reads,
                )
                return operation.response_class.FromString(answer)
            except CallFailed as failed:
                raise errors.from_status(failed.status) from failed
            except NoTunnel:
                self._tunnel = None
        return await self._call_alone(operation, request, metadata)

    async def _call_alone(
        self, operation: Operation, request: Message, metadata: Metadata
    ) -> Message:
        rpc = self.channel.unary_unary(
            operation.rpc,
            request_serializer=operation.request_class.SerializeToString,
            response_deserializer=operation.response_class.FromString,
        )
        try:
            return await rpc(request, timeout=self._settings.call_deadline, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from error

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

        Args:
            operation: which RPC.
            request: its request.
            metadata: the caller's credentials.
            until: ends the stream for the reader when it is set.
            patient: wait for the server when it is away, rather than fail at once.
        """
        rpc = self.channel.unary_stream(
            operation.rpc,
            request_serializer=operation.request_class.SerializeToString,
            response_deserializer=operation.response_class.FromString,
        )
        async with Stream(rpc(request, metadata=metadata, wait_for_ready=patient), until) as stream:
            yield stream

    async def is_serving(self) -> bool:
        """Whether the server says that it is healthy; False when it does not answer in time."""
        check = self.channel.unary_unary(
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


class Stream:
    """An open stream of messages that can be waited for with a limit, without losing any.

    The next message is read when it is asked for, so that the server is held back by a slow reader.
    """

    def __init__(
        self, call: grpc.aio.UnaryStreamCall[Message, Message], until: asyncio.Event | None
    ) -> None:
        self._call = call
        self._until = asyncio.create_task(until.wait()) if until else None
        self._reading: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()
        tasks = [task for task in (self._until, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self, timeout: float) -> None:
        """Waits for the first message, which `next` still gives, for `timeout` seconds at most.

        Raises:
            Refusal: the server ended the stream with an error instead.
        """
        reading = await self._wait(timeout)
        if reading.done():
            _message(reading)

    async def next(self, timeout: float) -> Message | None:
        """The next message, or None at the stream's end.

        Raises:
            TimeoutError: none came within `timeout` seconds; a later call can still give it.
            Refusal: the server ended the stream with an error.
        """
        reading = await self._wait(timeout)
        if reading.done():
            self._reading = None
            return _message(reading)
        if self._until is not None and self._until.done():
            return None
        raise TimeoutError

    async def _wait(self, timeout: float) -> asyncio.Task[Any]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._call.read())
        waited = [task for task in (self._reading, self._until) if task is not None]
        await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return self._reading


def _message(reading: asyncio.Task[Any]) -> Message | None:
    try:
        message = reading.result()
    except grpc.aio.AioRpcError as error:
        raise errors.from_rpc(error) from error
    return message if isinstance(message, Message) else None


def _open(settings: GatewaySettings) -> grpc.aio.Channel:
    first, longest = _RECONNECT_MS
    options = (
        ("grpc.max_receive_message_length", settings.message_limit),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.initial_reconnect_backoff_ms", first),
        ("grpc.max_reconnect_backoff_ms", longest),
        ("grpc.enable_http_proxy", 0),
    )
    return grpc.aio.insecure_channel(settings.server_target, options=options)
