"""The caller's credentials, handed on as they came; only the server judges them."""

from __future__ import annotations

import re
from typing import TypeAlias

from starlette.datastructures import Headers

from entrance_gateway import envelope
from entrance_gateway.errors import Refusal

Metadata: TypeAlias = tuple[tuple[str, str], ...]

SESSION_COOKIE = "linkis_user_session_ticket_id_v1"

_FORWARDED = ("authorization", "token-code", "token-user")
_VALID = re.compile(r"[\x20-\x7e]{0,4096}")  # what gRPC metadata can carry


def metadata_of(headers: Headers) -> Metadata:
    """The metadata for a call.

    Raises:
        Refusal: a header is there twice, or is not what metadata can carry.
    """
    found = ((name, headers.getlist(name)) for name in _FORWARDED)
    return tuple((name, _single(name, values)) for name, values in found if any(values))


def _single(name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise Refusal(f"The header {name} is there twice; send it once.", envelope.NOT_LOGGED_IN)
    if not _VALID.fullmatch(values[0]):
        raise Refusal(
            f"The header {name} must be at most 4,096 printable ASCII characters.",
            envelope.NOT_LOGGED_IN,
        )
    return values[0]
