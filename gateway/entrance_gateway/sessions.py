"""The cookie that keeps a login's session."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from starlette.responses import Response

from entrance.v1 import users_pb2 as pb
from entrance_gateway.credentials import SESSION_COOKIE

# Strict, since some operations act on GET: no link of another site may carry the cookie.
_ATTRIBUTES: dict[str, Any] = {"path": "/", "httponly": True, "samesite": "strict"}


def keep(response: Response, answer: Message, *, secure: bool) -> None:
    """Gives the cookie with the answer to a login, and takes it back with that to a logout."""
    if isinstance(answer, pb.LoginResponse):
        ticket = answer.session_ticket
        response.set_cookie(SESSION_COOKIE, ticket, secure=secure, **_ATTRIBUTES)
    elif isinstance(answer, pb.LogoutResponse):
        response.delete_cookie(SESSION_COOKIE, secure=secure, **_ATTRIBUTES)
