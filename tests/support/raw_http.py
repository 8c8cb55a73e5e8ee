"""HTTP requests byte for byte, since ordinary clients mend what they are given."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PATIENCE = 15  # seconds; an answer that takes longer counts as one that hangs


@dataclass(frozen=True)
class RawAnswer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        """The envelope; fails unless the answer has one and nothing else."""
        kind = self.headers["content-type"].replace(" ", "").lower()
        assert kind == "application/json;charset=utf-8", self
        told: dict[str, Any] = json.loads(self.body)
        assert list(told) == ["method", "status", "message", "data"]
        assert isinstance(told["data"], dict)
        return told


def exchange(port: int, request: bytes) -> RawAnswer:
    """Sends a request's bytes and reads one answer; fails when none comes in time."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return RawAnswer(response.status, headers, response.read())


def request_of(
    verb: str, target: str | bytes, headers: Mapping[str, str | bytes], body: bytes = b""
) -> bytes:
    """A request's bytes; texts are written as UTF-8, whatever HTTP says."""
    sent = {"Host": "entrance", "Connection": "close", **headers}
    if body and "Transfer-Encoding" not in sent:
        sent["Content-Length"] = str(len(body))
    lines = [b" ".join((verb.encode(), _bytes(target), b"HTTP/1.1"))]
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in sent.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
