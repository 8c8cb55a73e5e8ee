"""Headers of results."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2
from entrance_gateway.downloads import headers_of

ARROW = "application/vnd.apache.arrow.stream"


def of_result(id: str, result: pb.ResultSet) -> Mapping[str, str]:
    """The headers of a result set of a job."""
    first = pb.StreamResultResponse(result_set=result)
    return headers_of(pb.StreamResultRequest(id=id), first)


def of_file(name: str, media_type: str = "text/csv; charset=utf-8") -> Mapping[str, str]:
    """The headers of a file that has a name."""
    first = files_pb2.ResultsetToExcelResponse(file_name=name, media_type=media_type)
    return headers_of(files_pb2.ResultsetToExcelRequest(), first)


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
    headers = of_result("7", pb.ResultSet(index=2, media_type=media_type))
    assert headers["Content-Type"] == sent
    assert headers["Content-Disposition"] == f'attachment; filename="7-2{ending}"'


def test_a_file_name_holds_nothing_that_means_something() -> None:
    headers = of_result('../"\r\nä;' + "x" * 1000, pb.ResultSet(media_type=ARROW))
    name = headers["Content-Disposition"].removeprefix('attachment; filename="').removesuffix('"')
    assert name.startswith(".._x")
    assert len(name) < 120


def test_a_page_does_not_run_as_one_of_ours() -> None:
    headers = of_result("7", pb.ResultSet(media_type="text/html"))
    assert headers["Content-Security-Policy"].startswith("sandbox;")


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("flights.csv", 'attachment; filename="flights.csv"'),
        ("a b.csv", "attachment; filename=\"a_b.csv\"; filename*=UTF-8''a%20b.csv"),
        ("ä.csv", "attachment; filename=\"_.csv\"; filename*=UTF-8''%C3%A4.csv"),
        (
            'x"\r\nSet-Cookie: a=b.csv',
            'attachment; filename="x_Set-Cookie_a_b.csv"; '
            "filename*=UTF-8''x%22%0D%0ASet-Cookie%3A%20a%3Db.csv",
        ),
    ],
)
def test_a_file_keeps_its_name_however_a_header_must_write_it(name: str, disposition: str) -> None:
    assert of_file(name)["Content-Disposition"] == disposition


def test_a_file_has_its_type() -> None:
    assert of_file("x.csv")["Content-Type"] == "text/csv; charset=utf-8"
    assert of_file("x.csv", "a/b\r\nX: y")["Content-Type"] == "application/octet-stream"
    assert of_file("x.csv")["Content-Security-Policy"].startswith("sandbox;")
