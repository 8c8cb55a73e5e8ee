"""The caller's credentials, handed on as they came; only the server judges them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TypeAlias

from starlette.requests import HTTPConnection

from entrance_gateway import envelope
from entrance_gateway.errors import Refusal

Metadata: TypeAlias = tuple[tuple[str, str], ...]

SESSION_COOKIE = "linkis_user_session_ticket_id_v1"

_FORWARDED = {name.encode(): name for name in ("authorization", "token-code", "token-user")}
_COOKIE = b"cookie"
_SESSION = "session-ticket"
_ADDRESS = "caller-address"
_UNKNOWN_ADDRESS = "unknown"
_VALID_ADDRESS = re.compile(r"[0-9a-fA-F:.]{1,45}(%[\w.-]{1,16})?", re.ASCII)
_VALID = re.compile(r"[\x20-\x7e]{0,4096}")  # what gRPC metadata can carry


def metadata_of(connection: HTTPConnection) -> Metadata:
    """The metadata for a call: the caller's credentials, and the address that he has.

    Raises:
        Refusal: a credential is there twice, or is not what metadata can carry.
    """
    given: dict[str, list[str]] = {}
    for name, value in connection.scope["headers"]:
        if key := _FORWARDED.get(name):
            given.setdefault(key, []).append(value.decode("latin-1"))
        elif name == _COOKIE:
            given.setdefault(_SESSION, []).extend(_tickets(value.decode("latin-1")))
    return (
        *((key, _single(key, values)) for key, values in given.items() if any(values)),
        (_ADDRESS, _address_of(connection)),
    )


def is_cookie_alone(metadata: Metadata) -> bool:
    """Whether the cookie is all by which a caller identifies himself."""
    names = {name for name, _ in metadata}
    return _SESSION in names and names.isdisjoint(_FORWARDED.values())


def _address_of(connection: HTTPConnection) -> str:
    """The caller's address; a proxy may tell anything in its place."""
    told = connection.client.host if connection.client else ""
    return told if _VALID_ADDRESS.fullmatch(told) else _UNKNOWN_ADDRESS


def _tickets(cookies: str) -> list[str]:
    """The values of our cookie; several mean that somebody else has set one too."""
    pairs = (cookie.partition("=") for cookie in cookies.split(";"))
    return [value.strip() for name, _, value in pairs if name.strip() == SESSION_COOKIE]


def _single(name: str, values: Collection[str]) -> str:
    if len(values) > 1:
        raise Refusal(f"The header {name} is there twice; send it once.", envelope.NOT_LOGGED_IN)
    (value,) = values
    if not _VALID.fullmatch(value):
        raise Refusal(
            f"The header {name} must be at most 4,096 printable ASCII characters.",
            envelope.NOT_LOGGED_IN,
        )
    return value
