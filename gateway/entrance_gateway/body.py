"""Bodies: received within a limit, and read as strict JSON."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from entrance_gateway import envelope
from entrance_gateway.errors import BODY_MISSING, UNREADABLE, Refusal

_AS_IT_IS = "identity"  # of Content-Encoding
_LONGEST_NUMBER = 400  # characters; every double fits


async def receive(request: Request, *, limit: int, deadline: float) -> bytes:
    """The request's body of at most `limit` bytes, `deadline` seconds at most.

    Raises:
        Refusal: it is compressed or too large, which is told before it is read, or comes too
            slowly.
    """
    coding = request.headers.get("content-encoding", "").strip() or _AS_IT_IS
    if coding.lower() != _AS_IT_IS:
        words = f"The body is sent as {coding[:40]}; send it as it is, without Content-Encoding."
        raise Refusal(words, envelope.BODY_ENCODED)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(deadline):
            async for piece in request.stream():
                body += piece
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        words = f"The body did not arrive within {deadline:g} seconds."
        raise Refusal(words, envelope.TOO_SLOW) from None
    return bytes(body)


def _too_large(limit: int) -> Refusal:
    words = f"The body is larger than the limit of {limit:,} bytes."
    return Refusal(words, envelope.BODY_TOO_LARGE)


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that a body is.

    Raises:
        Refusal: the body is anything else.
    """
    if not raw.strip():
        raise Refusal("The body is empty; send a JSON object.", err_code=BODY_MISSING)
    try:
        value = json.loads(
            raw.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except UnicodeDecodeError as error:
        raise _unreadable(f"is not UTF-8 (at byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise _unreadable(
            f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise _unreadable("is nested too deeply") from None
    if not isinstance(value, dict):
        raise _unreadable("is not a JSON object")
    return value


def _unreadable(what: str) -> Refusal:
    return Refusal(f"The body {what}.", err_code=UNREADABLE)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in result if names.count(name) > 1)
        raise _unreadable(f"has the key '{twice[:80]}' twice in one object")
    return result


def _constant(text: str) -> float:
    raise _unreadable(f"has {text}, which is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _unreadable(f"has a number out of range: {text[:40]}")
    return number


def _int(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise _unreadable(f"has a number of {len(text):,} digits")
    return int(text)
