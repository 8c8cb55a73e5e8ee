"""How strictly a body is read."""

from __future__ import annotations

import pytest

from entrance_gateway.body import read_object
from entrance_gateway.errors import BODY_MISSING, UNREADABLE, Refusal


def refused(raw: bytes) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        read_object(raw)
    assert refusal.value.outcome.http == 400
    return refusal.value


def test_an_object_is_read() -> None:
    assert read_object(b'{"a": [1, 2.5, "x", null, true]}') == {"a": [1, 2.5, "x", None, True]}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_object(b"\xef\xbb\xbf{}") == {}


@pytest.mark.parametrize("raw", [b"", b" \r\n\t"])
def test_an_empty_body_is_told_so(raw: bytes) -> None:
    refusal = refused(raw)
    assert refusal.err_code == BODY_MISSING
    assert "empty" in refusal.words


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b'{"a": "\xff"}', "is not UTF-8 (at byte 7)"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8"),
        (b'{"a": 1', "is not JSON: Expecting ',' delimiter at line 1, column 8"),
        (b"{'a': 1}", "is not JSON"),
        (b"code=1", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'"text"', "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b'{"a": NaN}', "has NaN, which is not JSON"),
        (b'{"a": -Infinity}', "has -Infinity, which is not JSON"),
        (b'{"a": 1e999}', "has a number out of range: 1e999"),
        (b'{"a": ' + b"9" * 5000 + b"}", "has a number of 5,000 digits"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "has the key 'b' twice in one object"),
        (b'{"a":' * 100_000, "is nested too deeply"),
        (b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_is_not_one_json_object_is_refused_with_its_reason(raw: bytes, told: str) -> None:
    refusal = refused(raw)
    assert told in refusal.words
    assert refusal.err_code == UNREADABLE
