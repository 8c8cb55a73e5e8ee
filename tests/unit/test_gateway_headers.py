"""Credentials on the way in, and headers of results on the way out."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway.credentials import metadata_of
from entrance_gateway.downloads import headers_of
from entrance_gateway.errors import Refusal

ARROW = "application/vnd.apache.arrow.stream"


def test_the_callers_credentials_are_handed_on_and_nothing_else() -> None:
    headers = Headers(
        {
            "Authorization": "Bearer a",
            "Token-Code": "code",
            "Token-User": "alice",
            "X-Forwarded-For": "10.0.0.1",
            "Cookie": "a=b",
        }
    )
    assert metadata_of(headers) == (
        ("authorization", "Bearer a"),
        ("token-code", "code"),
        ("token-user", "alice"),
    )


def test_without_credentials_there_is_no_metadata() -> None:
    assert metadata_of(Headers({"Authorization": ""})) == ()


@pytest.mark.parametrize("value", [b"Bearer \xe4", b"a\x7f", b"a\tb", b"a\x00", b"x" * 4097])
def test_what_metadata_can_not_carry_is_not_logged_in(value: bytes) -> None:
    with pytest.raises(Refusal, match="printable ASCII") as refusal:
        metadata_of(Headers(raw=[(b"authorization", value)]))
    assert (refusal.value.outcome.status, refusal.value.outcome.http) == (-1, 401)


def test_credentials_given_twice_are_not_guessed_at() -> None:
    with pytest.raises(Refusal, match="twice"):
        metadata_of(Headers(raw=[(b"token-user", b"alice"), (b"token-user", b"root")]))


@pytest.mark.parametrize(
    ("media_type", "sent", "ending"),
    [
        (ARROW, ARROW, ".arrows"),
        ("image/png", "image/png", ".png"),
        ("text/plain", "text/plain; charset=utf-8", ".txt"),
        ("text/html; charset=utf-8", "text/html; charset=utf-8", ".html"),
        ("", "application/octet-stream", ".bin"),
        ("text/html\r\nX: y", "application/octet-stream", ".bin"),
        ("no type", "application/octet-stream", ".bin"),
        ("application/x-made-up", "application/x-made-up", ".bin"),
    ],
)
def test_a_result_has_its_type_and_a_name_with_its_ending(
    media_type: str, sent: str, ending: str
) -> None:
    headers = headers_of("7", pb.ResultSet(index=2, media_type=media_type))
    assert headers["Content-Type"] == sent
    assert headers["Content-Disposition"] == f'attachment; filename="7-2{ending}"'


def test_a_file_name_holds_nothing_that_means_something() -> None:
    headers = headers_of('../"\r\nä;' + "x" * 1000, pb.ResultSet(media_type=ARROW))
    name = headers["Content-Disposition"].removeprefix('attachment; filename="').removesuffix('"')
    assert name.startswith(".._x")
    assert len(name) < 120


def test_a_page_does_not_run_as_one_of_ours() -> None:
    headers = headers_of("7", pb.ResultSet(media_type="text/html"))
    assert headers["Content-Security-Policy"].startswith("sandbox;")
