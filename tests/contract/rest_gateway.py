"""A gateway on loopback in front of a gRPC service that answers as a test tells it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
import httpx
from google.protobuf import any_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from entrance_gateway.app import Application
from entrance_gateway.config import GatewaySettings
from entrance_gateway.operations import SERVICES
from entrance_gateway.run import serve

ROOT = "/api/rest_j/v1/entrance"
PATIENCE = 20  # seconds that a test waits for what must happen

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Script: TypeAlias = Callable[[Any, Context], AsyncGenerator[Message, None]]


def says(*messages: Message, error: status_pb2.Status | None = None) -> Script:
    """A script that sends messages (a unary RPC its first) and then ends, perhaps with an error."""

    async def script(_: Message, context: Context) -> AsyncGenerator[Message, None]:
        for message in messages:
            yield message
        if error is not None:
            await context.abort_with_status(rpc_status.to_status(error))

    return script


def failure(
    code: grpc.StatusCode,
    message: str = "Change it.",
    *,
    err_code: int | None = None,
    reason: str = "REASON",
    violations: Mapping[str, str] | None = None,
) -> status_pb2.Status:
    """An error as the service tells it."""
    metadata = {} if err_code is None else {"errCode": str(err_code)}
    info = error_details_pb2.ErrorInfo(reason=reason, domain="entrance", metadata=metadata)
    details: list[Message] = [info]
    if violations:
        wrong = [
            error_details_pb2.BadRequest.FieldViolation(field=name, description=description)
            for name, description in violations.items()
        ]
        details.append(error_details_pb2.BadRequest(field_violations=wrong))
    packed = [any_pb2.Any() for _ in details]
    for holder, detail in zip(packed, details, strict=True):
        holder.Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)


@dataclass
class Service:
    """Every RPC of the public API: notes what it is asked, and answers by script."""

    scripts: dict[str, Script] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    peers: set[str] = field(default_factory=set)  # one for each connection that calls came by
    deadline: float | None = None  # seconds that the last call had left
    port: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    health: health.aio.HealthServicer = field(default_factory=health.aio.HealthServicer)

    @property
    def request(self) -> Any:
        """The only request so far."""
        (request,) = self.requests
        return request

    async def answers(
        self, method: MethodDescriptor, request: Message, context: Context
    ) -> AsyncGenerator[Message, None]:
        if method.name != "GetUserInfo":  # by which the gateway asks who calls
            self.requests.append(request)
        self.peers.add(context.peer())
        self.metadata = {
            str(name): str(value) for name, value in context.invocation_metadata() or ()
        }
        self.deadline = context.time_remaining()
        script = self.scripts.get(method.name) or says(GetMessageClass(method.output_type)())
        try:
            async for message in script(request, context):
                yield message
        finally:
            self.ended.set()


@asynccontextmanager
async def service(
    scripts: Mapping[str, Script] | None = None,
    *,
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[Service]:
    """The service on a port, 0 for a free one; an RPC without a script answers with nothing set."""
    it = Service(dict(scripts or {}))
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([_handlers(it, service) for service in SERVICES])
    health_pb2_grpc.add_HealthServicer_to_server(it.health, server)
    await it.health.set("", health_pb2.HealthCheckResponse.SERVING)
    address = f"127.0.0.1:{port}"
    if credentials is None:
        it.port = server.add_insecure_port(address)
    else:
        it.port = server.add_secure_port(address, credentials)
    await server.start()
    try:
        async with asyncio.timeout(PATIENCE):
            yield it
    finally:
        await server.stop(grace=0)


def _handlers(it: Service, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
    handlers = {method.name: _handler(it, method) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(it: Service, method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
    async def one(request: Message, context: Context) -> Message:
        async for message in it.answers(method, request, context):
            return message
        raise AssertionError("the script neither answers nor fails")

    async def many(request: Message, context: Context) -> AsyncIterator[Message]:
        async for message in it.answers(method, request, context):
            yield message

    kinds: tuple[Any, Any] = (
        (grpc.unary_stream_rpc_method_handler, many)
        if method.server_streaming
        else (grpc.unary_unary_rpc_method_handler, one)
    )
    make, behaviour = kinds
    handler: grpc.RpcMethodHandler[Any, Any] = make(
        behaviour,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )
    return handler


def settings(port: int, **changes: Any) -> GatewaySettings:
    """Settings of a gateway in front of a port."""
    return GatewaySettings(**{"port": 0, "server_target": f"127.0.0.1:{port}", **changes})


@asynccontextmanager
async def rest(port: int, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway within this process, for answers that end by themselves."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        transport = httpx.ASGITransport(Application(settings(port, **changes), channel))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client


@dataclass(frozen=True)
class Running:
    """A gateway that listens, and what stops it."""

    port: int
    client: httpx.AsyncClient
    stop: asyncio.Event
    task: asyncio.Task[None]


@asynccontextmanager
async def running(
    port: int, *, trust: ssl.SSLContext | None = None, **changes: Any
) -> AsyncIterator[Running]:
    """A gateway behind a real socket, in front of a port; `trust` is for a client by HTTPS."""
    stop: asyncio.Event = asyncio.Event()
    chosen: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            serve(settings(port, **changes), ready=chosen.set_result, stop=stop)
        )
        try:
            own = await chosen
            base_url = f"{'https' if trust else 'http'}://127.0.0.1:{own}"
            async with httpx.AsyncClient(
                base_url=base_url, timeout=PATIENCE, verify=trust or True
            ) as client:
                yield Running(own, client, stop, task)
        finally:
            stop.set()


@dataclass(frozen=True)
class Event:
    """A server-sent event as a browser would see it."""

    name: str
    data: str
    id: str


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    """The events of a stream, with the last id that a browser would have after each."""
    last_id, name, data = "", "message", list[str]()
    async for line in response.aiter_lines():
        key, _, value = line.partition(": ")
        if key == "id":
            last_id = value
        elif key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif not line:
            if data:
                yield Event(name, "\n".join(data), last_id)
            name, data = "message", []


def parts(envelope: httpx.Response) -> Sequence[Any]:
    """HTTP status, envelope status, message and data of an answer."""
    body = envelope.json()
    return envelope.status_code, body["status"], body["message"], body["data"]
