"""The HTTP protocol: its own refusals wear the envelope, and a request's head has a deadline."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from entrance_gateway import envelope


class EnvelopedHttp(H11Protocol):
    """HTTP/1.1 that answers a request which can't be parsed as everything else is answered."""

    head_deadline: ClassVar[float] = 10.0
    """Seconds for a request's head, from the connection or from its first byte on."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expects a request from the start, so that silent connections do not pile up."""
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Takes bytes; a head that comes in drops has the same deadline as any."""
        self._watch_head()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._forget_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets what was expected."""
        self._forget_head()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answers what no application has seen, and closes the connection."""
        self._refuse(400, b"Bad Request", msg)

    def _watch_head(self) -> None:
        if self._head_timer is None and self.conn.their_state is h11.IDLE:
            self._head_timer = self.loop.call_later(self.head_deadline, self._head_is_late)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing() and self.conn.their_state is h11.IDLE:
            said = (
                f"The request's head did not come within {self.head_deadline:g} s; send it whole."
            )
            self._refuse(408, b"Request Timeout", said)

    def _refuse(self, status: int, reason: bytes, msg: str) -> None:
        response = envelope.EnvelopeResponse(envelope.Message("", 1, msg), status_code=status)
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=reason),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
