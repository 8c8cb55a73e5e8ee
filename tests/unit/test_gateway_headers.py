"""Headers of results."""

from __future__ import annotations

import pytest

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway.downloads import headers_of

ARROW = "application/vnd.apache.arrow.stream"


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
