"""What surrounds a request: common headers, an answer for each error, and a limit."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrance_gateway import envelope, errors
from entrance_gateway.routing import method_name

_BODY_HEADERS = {"content-length", "transfer-encoding"}
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5
_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))

log = structlog.get_logger()


class Edge:
    """Gives every answer its common headers, and answers each error in the envelope."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and sees to its answer."""
        question, answer = _Question(scope, receive), _Answer(send)
        try:
            await self._app(scope, question, answer)
        except ClientDisconnect:
            pass
        except Exception as error:
            refusal = _refusal_for(error, scope)
            if answer.started:
                log.warning("gateway.answer_broken_off", path=scope["path"], error=refusal.words)
                return  # an answer that does not complete is how a client sees it
            response = refusal.response(method_name(scope))
            await response(scope, receive, answer.unended)
            if refusal.outcome is not envelope.TOO_SLOW:
                await question.drain()
            await answer.end()


class Admission:
    """Lets at most `limit` requests at once through to what it guards; `kind` is their name."""

    def __init__(self, limit: int, kind: str) -> None:
        self._limit = limit
        self._kind = kind
        self._inside = 0

    def guard(self, endpoint: ASGIApp) -> ASGIApp:
        """The endpoint, behind the limit that it shares with all others guarded here."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if self._inside >= self._limit:
                words = f"The gateway has {self._limit:,} {self._kind} open, its limit; try again."
                raise errors.Refusal(words, envelope.TOO_MANY_REQUESTS)
            self._inside += 1
            try:
                await endpoint(scope, receive, send)
            finally:
                self._inside -= 1

        return guarded


class _Question:
    """The way in of a request, which knows whether the whole body has come."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._ended: bool | None = None  # as long as nothing was received

    async def __call__(self) -> Message:
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Takes in the rest of a body that nobody reads, within limits.

        A connection that is closed before is reset, and its client may not see the answer.
        """
        if self._ended is None:
            headers = Headers(scope=self._scope)
            # a client that asks before it sends a body waits to be told
            self._ended = "expect" in headers or _BODY_HEADERS.isdisjoint(headers.keys())
        left = _DRAIN_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._ended and left > 0:
                    left -= len((await self()).get("body", b""))


class _Answer:
    """The way out of a request: adds the common headers and knows whether the answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            given = message["headers"]
            names = {name for name, _ in given}
            message["headers"] = [*given, *(one for one in _HEADERS if one[0] not in names)]
        await self._send(message)

    async def unended(self, message: Message) -> None:
        """Sends a message of an answer, whose last one leaves the answer open."""
        await self({**message, "more_body": True} if "body" in message else message)

    async def end(self) -> None:
        """Ends an answer that was left open."""
        await self({"type": "http.response.body", "body": b""})


def _refusal_for(error: Exception, scope: Scope) -> errors.Refusal:
    if isinstance(error, errors.Refusal):
        return error
    log.error("gateway.failed", verb=scope["method"], path=scope["path"], exc_info=error)
    return errors.failure()
