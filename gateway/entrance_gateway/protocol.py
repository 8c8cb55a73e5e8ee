"""The HTTP protocol, whose own refusals wear the envelope too."""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from entrance_gateway import envelope


class EnvelopedHttp(H11Protocol):
    """HTTP/1.1 that answers a request which can't be parsed as everything else is answered."""

    def send_400_response(self, msg: str) -> None:
        """Answers what no application has seen, and closes the connection."""
        response = envelope.EnvelopeResponse(envelope.Message("", 1, msg), status_code=400)
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
