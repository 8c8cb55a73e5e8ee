"""What answers an operation: a call, a stream of events, or a streamed result."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from entrance.v1.users_pb2 import LoginResponse
from entrance_gateway import (
    body,
    downloads,
    envelope,
    errors,
    events,
    forms,
    render,
    sessions,
    translate,
)
from entrance_gateway.backend import Backend
from entrance_gateway.config import GatewaySettings
from entrance_gateway.credentials import Metadata, is_cookie_alone, metadata_of
from entrance_gateway.operations import Operation
from entrance_gateway.origins import Origins
from entrance_gateway.routing import method_name
from entrance_gateway.stream import Stream

_EVENT_HEADERS = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class Gateway:
    """What every endpoint works with; `closing` is set when open streams have to end."""

    settings: GatewaySettings
    backend: Backend
    closing: asyncio.Event
    origins: Origins


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its RPC takes it, and how its caller spells fields."""

    message: Message
    spelling: forms.Spelling = field(default_factory=lambda: forms.AS_IN_PROTO)


@dataclass(frozen=True)
class Endpoint(ABC):
    """Answers the requests of one operation."""

    operation: Operation
    gateway: Gateway

    @abstractmethod
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""

    def metadata(self, request: Request) -> Metadata:
        """The caller's credentials, unless another site sent the request in his name.

        Raises:
            Refusal: it did, or a credential can't be handed on.
        """
        metadata = metadata_of(request)
        if self.operation.response_class is LoginResponse or is_cookie_alone(metadata):
            self.gateway.origins.check(request, acts=not self.operation.reads)
        return metadata

    async def read(self, request: Request, metadata: Metadata) -> Asked:
        """What a request asks; a caller who is not known is told that before what is wrong.

        Raises:
            Refusal: the request is wrong, or its caller is not known.
        """
        try:
            return await self._read(request)
        except errors.Refusal:
            if not self.operation.is_open:
                await self.gateway.backend.check_caller(metadata)
            raise

    async def _read(self, request: Request) -> Asked:
        """What a request without a body asks."""
        query = request.query_params.multi_items() if request.scope["query_string"] else ()
        return Asked(translate.from_query(self.operation, request.path_params, query))


class Call(Endpoint):
    """Answers with what a unary RPC answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Translates the request, calls, and answers in the envelope."""
        request = Request(scope, receive)
        metadata = self.metadata(request)
        asked = await self.read(request, metadata)
        try:
            answer = await self.gateway.backend.call(self.operation, asked.message, metadata)
        except errors.Refusal as refusal:
            refusal.spell(asked.spelling)
            raise
        words, data = render.words_of(self.operation.name), render.data_of(answer, asked.message)
        message = envelope.Message(method_name(scope), 0, words, data)
        response = envelope.EnvelopeResponse(message)
        sessions.keep(response, answer, secure=self.gateway.origins.is_https(request))
        await response(scope, receive, send)

    async def _read(self, request: Request) -> Asked:
        if not self.operation.has_body:
            return await super()._read(request)
        settings = self.gateway.settings
        raw = await body.receive(
            request, limit=settings.body_limit, deadline=settings.body_deadline
        )
        return Asked(*translate.from_body(self.operation, request.path_params, raw))


class Follow(Endpoint):
    """Answers with server-sent events, one or more for each message of a streaming RPC."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends events until the stream ends, the client leaves or the gateway stops.

        An error before the first message is an answer of its own kind, one after it an event.
        """
        request = Request(scope, receive)
        last_id = request.headers.get(events.RESUME_HEADER, "")
        if last_id == events.END_ID:
            await Response(status_code=204)(scope, receive, send)
            return
        metadata = self.metadata(request)
        asked = await self.read(request, metadata)
        async with self.gateway.backend.stream(
            self.operation,
            asked.message,
            metadata,
            until=self.gateway.closing,
            patient=bool(last_id),
        ) as stream:
            await stream.settle(self.gateway.settings.open_wait)
            frames = _frames(stream, method_name(scope), self.gateway.settings.keep_alive)
            await _send_stream(frames, _EVENT_HEADERS, scope, receive, send)

    async def _read(self, request: Request) -> Asked:
        asked = await super()._read(request)
        events.go_on(asked.message, request.headers.get(events.RESUME_HEADER, ""))
        return asked


async def _frames(stream: Stream, method: str, keep_alive: float) -> AsyncGenerator[bytes]:
    yield events.RETRY
    while True:
        try:
            message = await stream.next(keep_alive)
        except TimeoutError:
            yield events.COMMENT
            continue
        except errors.Refusal as refusal:
            yield events.Event("error", refusal.message(method).as_dict()).encode()
            return
        if message is None:
            return
        yield b"".join(event.encode() for event in events.events_of(message))


class Download(Endpoint):
    """Answers with a file, which comes in pieces."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the file as it comes; an error on the way breaks the answer off visibly."""
        request = Request(scope, receive)
        metadata = self.metadata(request)
        asked = (await self.read(request, metadata)).message
        async with self.gateway.backend.stream(self.operation, asked, metadata) as stream:
            first: Any = await self._next(stream)
            if first is None:
                raise errors.failure()
            headers = downloads.headers_of(asked, first)
            # a file that can't be read is told after its name, and before the answer has begun here
            begun = first if first.data else await self._next(stream)
            await _send_stream(self._pieces(stream, begun), headers, scope, receive, send)

    async def _pieces(self, stream: Stream, begun: Message | None) -> AsyncGenerator[bytes]:
        message: Any = begun
        while message is not None:
            if message.data:  # an empty piece tells that the file is still being made
                yield message.data
            message = await self._next(stream)

    async def _next(self, stream: Stream) -> Message | None:
        try:
            return await stream.next(self.gateway.settings.call_deadline)
        except TimeoutError:
            raise errors.out_of_time() from None


async def _send_stream(
    pieces: AsyncGenerator[bytes],
    headers: Mapping[str, str],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    async with aclosing(pieces):
        response: Response = StreamingResponse(pieces, headers=headers)
        if scope["method"] == "HEAD":
            response = Response(headers=headers)
        await response(scope, receive, send)


def endpoint_for(operation: Operation, gateway: Gateway) -> Endpoint:
    """The endpoint of the kind that an operation needs."""
    if not operation.streams:
        return Call(operation, gateway)
    return (Download if operation.gives_file else Follow)(operation, gateway)
