"""What every call passes through, whatever its service: layers around the handler of its method."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from entrance.deadlines import Deadlines
from entrance_server.domain.errors import EntranceError, InvalidRequest
from entrance_server.rpc import errors

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = Callable[[Any, Context], Awaitable[Any]]
RpcHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


@dataclass(frozen=True, slots=True)
class Method:
    """A method by its full name `/<service>/<method>`; `streams` when it answers a stream."""

    name: str
    streams: bool

    @property
    def service(self) -> str:
        """The service's full name."""
        return self.name.split("/")[1]

    @property
    def descriptor(self) -> MethodDescriptor | None:
        """What the proto says of it; None for one that a library brings along."""
        try:
            return descriptor_pool.Default().FindMethodByName(self.name[1:].replace("/", "."))
        except KeyError:
            return None


class Layer(Protocol):
    """One concern of all calls."""

    def wrap(self, method: Method, handler: Handler) -> Handler:
        """The handler with this concern around it, or as it is where the method needs none of it.

        Called once for each method, so that what depends on it alone is not decided in every call.
        """


class Edge(grpc.GenericRpcHandler):
    """Serves methods by their paths, each with layers around its handler, the first one outermost.

    Generated code registers services with it as it does with a server, which knows this one handler
    alone: each method that a server of grpc.aio knows by itself makes every call dearer, since the
    server waits for the next call of each of them anew.

    A call is ended when its request does not come within `request_deadline` seconds.
    """

    def __init__(self, layers: Sequence[Layer], *, request_deadline: float) -> None:
        self._layers = tuple(layers)
        self._request_deadline = request_deadline
        self._deadlines = Deadlines()
        self._served: dict[str, RpcHandler] = {}
        self._unary: dict[str, RpcHandler] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Called by generated code; what it says comes by name as well."""

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, Any]) -> None:
        """Called by generated code with a service's handlers."""
        for name, handler in methods.items():
            path = f"/{service}/{name}"
            wrapped = self._wrap(path, handler)
            self._served[path] = self._receiving(wrapped)
            if not handler.request_streaming and not handler.response_streaming:
                self._unary[path] = wrapped

    def unary_handlers(self) -> Mapping[str, RpcHandler]:
        """The unary methods registered up to now, by their paths: from a request's bytes on."""
        return dict(self._unary)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> RpcHandler | None:
        """Called by the server for each call; None for a path that nothing serves."""
        return self._served.get(handler_call_details.method)

    def _wrap(self, name: str, handler: RpcHandler) -> RpcHandler:
        method = Method(name, handler.response_streaming)
        call = _decoding(handler)
        for layer in reversed(self._layers):
            call = layer.wrap(method, call)
        return _rpc_handler(handler, call)

    def _receiving(self, handler: RpcHandler) -> RpcHandler:
        """A handler of one request as one of a stream; gRPC waits for a single one for ever."""
        if handler.request_streaming:
            return handler
        call: Any = handler.unary_unary or handler.unary_stream

        async def received(_: object, context: Context) -> Any:
            return await call(await self._request(context), context)

        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        return make(received, None, handler.response_serializer)

    async def _request(self, context: Context) -> Any:
        """The bytes of the request of a call, which is aborted when none comes."""
        error: EntranceError
        limit = self._request_deadline
        try:
            with self._deadlines.within(limit):
                request = await context.read()
        except TimeoutError:
            error = errors.DeadlineExceeded(f"The request did not come within {limit:g} s.")
        else:
            if request is not grpc.aio.EOF:
                return request
            error = InvalidRequest("Send a request before the end of the call.")
        await context.abort_with_status(rpc_status.to_status(errors.status_of(error)))


def _decoding(handler: RpcHandler) -> Handler:
    """The handler from the request's bytes on, so that the layers see bytes that are no message."""
    call = _coroutine(handler)
    decode = handler.request_deserializer
    if handler.request_streaming or decode is None:
        return call

    async def decoded(request: bytes, context: Context) -> Any:
        try:
            message = decode(request)
        except DecodeError as error:
            raise InvalidRequest(
                f"The request must be this method's message, with all text in UTF-8: {error}"
            ) from error
        return await call(message, context)

    return decoded


def _coroutine(handler: RpcHandler) -> Handler:
    """The handler as one coroutine; one that yields messages writes them instead, and is closed."""
    call: Any = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    if not inspect.isasyncgenfunction(call):
        return cast(Handler, call)

    async def written(request: Any, context: Context) -> None:
        async with aclosing(call(request, context)) as messages:
            async for message in messages:
                await context.write(message)

    return written


def _rpc_handler(handler: RpcHandler, call: Handler) -> RpcHandler:
    make, decode = {
        (False, False): (grpc.unary_unary_rpc_method_handler, None),
        (False, True): (grpc.unary_stream_rpc_method_handler, None),
        (True, False): (grpc.stream_unary_rpc_method_handler, handler.request_deserializer),
        (True, True): (grpc.stream_stream_rpc_method_handler, handler.request_deserializer),
    }[handler.request_streaming, handler.response_streaming]
    return make(call, decode, _encoding(handler.response_serializer))


def _encoding(encode: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    """What writes an answer, for one that is bytes already too: another server's."""
    if encode is None:
        return None
    return lambda answer: answer if isinstance(answer, bytes) else encode(answer)
