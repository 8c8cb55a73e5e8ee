"""The HTTP protocol: its own refusals wear the envelope, and nobody holds a connection for ever."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from entrance_gateway import envelope
from entrance_gateway.connections import Connections
from entrance_gateway.transports import WholeAnswers

HEAD_LIMIT = 64 * 1024  # bytes
WAITING_LIMIT = 64  # requests that wait for the answer to the one before

_VERBS = "GET, HEAD, OPTIONS, POST"


class EnvelopedHttp(HttpToolsProtocol):
    """HTTP/1.1 that answers a request which can't be parsed as everything else is answered."""

    head_deadline: ClassVar[float] = 10.0
    """Seconds for a request's head, from the connection or from its first byte on."""

    refusal_time: ClassVar[float] = 1.0
    """Seconds that a refused client has to read why and to close the connection."""

    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None
    _in_head = False
    _is_refused = False
    _size = 0  # bytes of a head, or of what is neither head nor body, since the last piece of those

    def __init__(self, *args: Any, places: Connections, **named: Any) -> None:
        super().__init__(*args, **named)
        self._places = places

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expects a request from the start, so that silent connections do not pile up."""
        super().connection_made(cast(asyncio.Transport, WholeAnswers(transport, self.loop)))
        if self._places.admit(self):
            self._watch_head()
        elif self._places.refuse(self):
            limit = f"{self._places.limit:,} connections that are all at work"
            words = f"The gateway has {limit}, its limit; try again."
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, words, **envelope.TOO_MANY_REQUESTS.headers)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets what was expected."""
        self._places.forget(self)
        self._forget_head()
        if self._answer_timer is not None:
            self._answer_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes; a head that comes in drops has the same limits as any."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse_unreadable(error)
        if self._size > HEAD_LIMIT:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse(status, f"The request's head is larger than {HEAD_LIMIT:,} bytes.")
        elif not self._in_head:
            self._forget_head()
        elif self._head_timer is None:
            self._watch_head()
        if self._works:
            self._places.begin(self)

    def on_message_begin(self) -> None:
        """A head begins, unless too many requests wait already."""
        if len(self.pipeline) >= WAITING_LIMIT:
            self.abort()
            raise ConnectionAbortedError("a client sends requests faster than it takes answers")
        self._in_head, self._size = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a field of the head; those that follow a body are for nobody."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._in_head, self._size = False, 0
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a piece of the body."""
        self._size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Expects the answer to be taken, and then perhaps another request."""
        self._watch_answer()
        self._places.end(self)
        super().on_response_complete()
        if self._works:  # on a request that came with the one before
            self._places.begin(self)

    def abort(self) -> None:
        """Closes the connection at once, whatever is under way."""
        self.transport.abort()

    @property
    def _works(self) -> bool:
        cycle = cast(RequestResponseCycle | None, self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _decline(self, rest: bytes) -> None:
        """Reads a request again without its offer of another protocol, which hid its body.

        Java's client offers HTTP/2 with every request.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self._refuse_method()
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def _refuse_unreadable(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            self._refuse_method()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "The request is not HTTP/1.1.")

    def _refuse_method(self) -> None:
        words = f"The request's method does not work here; use one of {_VERBS}."
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, words, Allow=_VERBS)

    def _watch_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_deadline, self._head_is_late)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        words = f"The request's head did not come within {self.head_deadline:g} s; send it whole."
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, words)

    def _watch_answer(self) -> None:
        """Breaks off with a client that takes nothing of a whole answer, which stays in memory."""
        untaken = self.transport.get_write_buffer_size()
        if untaken:
            wait = self.timeout_keep_alive
            self._answer_timer = self.loop.call_later(wait, self._check_taken, untaken)

    def _check_taken(self, before: int) -> None:
        if self.transport.get_write_buffer_size() >= before:
            self.abort()
        else:
            self._watch_answer()

    def _refuse(self, status: HTTPStatus, words: str, **more_headers: str) -> None:
        """Answers what no application has seen, and closes the connection a moment later.

        One that is closed with bytes unread is reset, and its client may not see the answer.
        """
        if self.transport.is_closing() or self._is_refused:
            return
        self._is_refused = True
        self._forget_head()
        message = envelope.Message("", 1, words)
        response = envelope.EnvelopeResponse(message, status_code=status, headers=more_headers)
        lines = [b"HTTP/1.1 %d %b" % (status, status.phrase.encode())]
        lines += [b"%b: %b" % field for field in response.raw_headers]
        self.transport.write(
            b"\r\n".join([*lines, b"connection: close", b"", bytes(response.body)])
        )
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(self.refusal_time, self.transport.close)
