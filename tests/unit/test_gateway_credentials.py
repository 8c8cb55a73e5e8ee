"""Credentials and addresses on their way to the server."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from entrance_gateway.credentials import SESSION_COOKIE, is_cookie_alone, metadata_of
from entrance_gateway.errors import Refusal

ADDRESS = ("caller-address", "192.0.2.1")


def request(
    *headers: tuple[str, str | bytes], client: tuple[str, int] | None = ("192.0.2.1", 5)
) -> Request:
    raw = [
        (name.lower().encode(), value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in headers
    ]
    return Request({"type": "http", "headers": raw, "client": client})


def test_the_callers_credentials_are_handed_on_and_nothing_else() -> None:
    asked = request(
        ("Authorization", "Bearer a"),
        ("Token-Code", "code"),
        ("Token-User", "alice"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Caller-Address", "10.0.0.1"),
        ("Session-Ticket", "x"),
        ("Cookie", f"a=b; {SESSION_COOKIE}=ticket; c=d"),
    )
    assert metadata_of(asked) == (
        ("authorization", "Bearer a"),
        ("token-code", "code"),
        ("token-user", "alice"),
        ("session-ticket", "ticket"),
        ADDRESS,
    )


def test_without_credentials_there_is_the_address_alone() -> None:
    assert metadata_of(request(("Authorization", ""), ("Cookie", "a=b"))) == (ADDRESS,)


def test_a_caller_without_an_address_is_not_taken_for_the_gateway() -> None:
    assert metadata_of(request(client=None)) == (("caller-address", "unknown"),)


@pytest.mark.parametrize("told", ["", "ü", "a proxy", "9" * 20_000, "127.0.0.1\n"])
def test_what_a_proxy_tells_that_is_no_address_is_not_handed_on(told: str) -> None:
    assert metadata_of(request(client=(told, 0))) == (("caller-address", "unknown"),)


@pytest.mark.parametrize("told", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::ffff:10.0.0.1"])
def test_every_kind_of_address_is_handed_on(told: str) -> None:
    assert metadata_of(request(client=(told, 0))) == (("caller-address", told),)


@pytest.mark.parametrize("value", [b"Bearer \xe4", b"a\x7f", b"a\tb", b"a\x00", b"x" * 4097])
@pytest.mark.parametrize("prefix", ["authorization", "cookie"])
def test_what_metadata_can_not_carry_is_not_logged_in(prefix: str, value: bytes) -> None:
    if prefix == "cookie":
        value = f"{SESSION_COOKIE}=".encode() + value
    with pytest.raises(Refusal, match="printable ASCII") as refusal:
        metadata_of(request((prefix, value)))
    assert (refusal.value.outcome.status, refusal.value.outcome.http) == (-1, 401)


@pytest.mark.parametrize(
    "headers",
    [
        [("Token-User", "alice"), ("Token-User", "root")],
        [("Cookie", f"{SESSION_COOKIE}=a; {SESSION_COOKIE}=b")],
        [("Cookie", f"{SESSION_COOKIE}=a"), ("Cookie", f"{SESSION_COOKIE}=b")],
    ],
)
def test_credentials_given_twice_are_not_guessed_at(headers: Sequence[tuple[str, str]]) -> None:
    with pytest.raises(Refusal, match="twice"):
        metadata_of(request(*headers))


@pytest.mark.parametrize("header", ["authorization", "token-code", "token-user"])
def test_the_cookie_is_alone_when_no_header_says_who_calls(header: str) -> None:
    cookie = ("Cookie", f"{SESSION_COOKIE}=ticket")
    assert is_cookie_alone(metadata_of(request(cookie)))
    assert is_cookie_alone(metadata_of(request(cookie, (header, ""))))
    assert not is_cookie_alone(metadata_of(request(cookie, (header, "x"))))
    assert not is_cookie_alone(metadata_of(request((header, "x"))))
    assert not is_cookie_alone(metadata_of(request()))


@given(st.lists(st.tuples(st.sampled_from(["cookie", "authorization", "token-code"]), st.binary())))
def test_any_header_is_handed_on_or_refused(headers: list[tuple[str, bytes]]) -> None:
    try:
        metadata = metadata_of(request(*headers))
    except Refusal:
        return
    assert all(value.isascii() and value.isprintable() for _, value in metadata)
