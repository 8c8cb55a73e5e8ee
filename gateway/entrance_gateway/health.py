"""Whether the gateway lives, and whether the server behind it is ready."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from entrance_gateway import envelope
from entrance_gateway.backend import Backend
from entrance_gateway.errors import Refusal
from entrance_gateway.routing import method_name

_NOT_READY = envelope.Outcome(1, 503, headers={"Retry-After": "1"})


async def alive(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as long as the gateway does at all."""
    await _ok(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Answers ok when the server says that it is healthy."""

    backend: Backend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Asks the server and answers."""
        if not await self.backend.is_serving():
            raise Refusal("The service is not ready; try again later.", _NOT_READY)
        await _ok(scope, receive, send)


async def _ok(scope: Scope, receive: Receive, send: Send) -> None:
    message = envelope.Message(method_name(scope), 0, envelope.OK_TEXT)
    await envelope.EnvelopeResponse(message)(scope, receive, send)
