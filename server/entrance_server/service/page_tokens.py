"""Page tokens: where the next page starts, bound to the query that it belongs to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re

from entrance_server.domain import errors

MAX_LENGTH = 512  # characters
_DIGEST_BYTES = 9
_DIGITS = re.compile(r"[0-9]{1,19}")
_LAST = 2**63 - 1  # what a store can hold


def encode(position: int, query: object) -> str:
    """The token for a page that starts at a position of a query's answer."""
    return encode_text(str(position), query)


def decode(token: str, query: object, *, first: int) -> int:
    """The position in a token; `first` for an empty one.

    Raises:
        InvalidRequest: the token was not made for this query.
    """
    text = decode_text(token, query)
    if not text:
        return first
    if not _DIGITS.fullmatch(text) or int(text) > _LAST:
        raise refused()
    return int(text)


def encode_text(position: str, query: object) -> str:
    """As `encode`, for a position that is a text."""
    return base64.urlsafe_b64encode(_digest(query) + position.encode()).decode()


def decode_text(token: str, query: object) -> str:
    """The text in a token; "" for an empty one.

    Raises:
        InvalidRequest: the token was not made for this query.
    """
    if not token:
        return ""
    try:
        raw = base64.urlsafe_b64decode(token.encode()) if len(token) <= MAX_LENGTH else b""
        digest, position = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:].decode()
    except (ValueError, binascii.Error):
        raise refused() from None
    if digest != _digest(query) or not position:
        raise refused()
    return position


def size(page_size: int, *, default: int, most: int) -> int:
    """The page size to use.

    Raises:
        InvalidRequest: it is negative.
    """
    if page_size < 0:
        raise errors.InvalidRequest(
            f"pageSize is {page_size}; send 0 for the default of {default}, or up to {most}.",
            reason="NEGATIVE_PAGE_SIZE",
            violations=[errors.FieldViolation("pageSize", "must not be negative")],
        )
    return min(page_size or default, most)


def _digest(query: object) -> bytes:
    text = json.dumps(query, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).digest()[:_DIGEST_BYTES]


def refused() -> errors.InvalidRequest:
    """The error for a token that leads nowhere."""
    return errors.InvalidRequest(
        "The page token is not one of this query; send nextPageToken of the page before with the "
        "same filters, or none to start again.",
        reason="WRONG_PAGE_TOKEN",
        violations=[errors.FieldViolation("pageToken", "must come from the same query")],
    )
