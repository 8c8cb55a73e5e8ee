"""Which page or which export of a result is asked for."""

from __future__ import annotations

import contextlib
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain.errors import InvalidRequest
from entrance_server.service import file_requests
from entrance_server.service.file_requests import ExportRequest, FileFormat, PageRequest

ROWS = 5_000


def test_a_plain_request_is_the_first_page_with_every_column() -> None:
    assert PageRequest().window(ROWS) == (range(ROWS), slice(None))


@pytest.mark.parametrize(
    ("request_", "rows", "columns"),
    [
        (PageRequest(page=3, page_size=2), range(4, 6), slice(None)),
        (PageRequest(page_size=ROWS), range(ROWS), slice(None)),
        (PageRequest(for_display=True), range(ROWS), slice(0, 500)),
        (PageRequest(column_page=2), range(ROWS), slice(500, 1000)),
        (PageRequest(column_page_size=3), range(ROWS), slice(0, 3)),
        (PageRequest(column_page=2, column_page_size=3), range(ROWS), slice(3, 6)),
    ],
)
def test_a_page_is_these_rows_and_columns(
    request_: PageRequest, rows: range, columns: slice
) -> None:
    assert request_.window(ROWS) == (rows, columns)


@given(st.integers(1, 100), st.integers(1, 50), st.integers(1, 100), st.integers(1, 50))
def test_pages_tile_rows_and_columns(
    page: int, page_size: int, column_page: int, column_page_size: int
) -> None:
    def window(more_rows: int, more_columns: int) -> tuple[range, slice]:
        return PageRequest(
            page=page + more_rows,
            page_size=page_size,
            column_page=column_page + more_columns,
            column_page_size=column_page_size,
        ).window(ROWS)

    rows, columns = window(0, 0)
    next_rows, next_columns = window(1, 1)
    assert (rows.stop, columns.stop) == (next_rows.start, next_columns.start)
    assert len(rows) == page_size
    assert columns.stop - columns.start == column_page_size


@pytest.mark.parametrize(
    ("request_", "field", "err_code"),
    [
        (PageRequest(page=-1), "page", None),
        (PageRequest(page_size=-1), "pageSize", None),
        (PageRequest(page_size=ROWS + 1), "pageSize", 80034),
        (PageRequest(column_page=-1), "columnPage", 80036),
        (PageRequest(column_page_size=-1), "columnPageSize", 80036),
        (PageRequest(column_page_size=501), "columnPageSize", 80036),
    ],
)
def test_a_page_that_is_none_is_refused(
    request_: PageRequest, field: str, err_code: int | None
) -> None:
    with pytest.raises(InvalidRequest) as told:
        request_.window(ROWS)
    assert told.value.err_code == err_code
    assert [one.field for one in told.value.violations] == [field]


def test_a_plain_export_is_csv_with_commas() -> None:
    request = ExportRequest()
    assert (request.format, request.separator) == (FileFormat.CSV, ",")
    assert (request.file_name, request.sheet) == ("downloadResultset.csv", "result")


@pytest.mark.parametrize(("text", "format"), [("csv", FileFormat.CSV), ("XLSX", FileFormat.XLSX)])
def test_a_format_is_named_by_its_ending(text: str, format: FileFormat) -> None:
    assert ExportRequest(output_file_type=text).format is format


def test_another_format_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidRequest, match="csv or xlsx") as told:
        _ = ExportRequest(output_file_type="pdf").format
    assert told.value.err_code == 80015


@pytest.mark.parametrize(
    ("text", "separator"), [(";", ";"), ("\t", "\t"), (r"\t", "\t"), (" ", " "), ("→", "→")]
)
def test_a_separator_is_one_character(text: str, separator: str) -> None:
    assert ExportRequest(csv_separator=text).separator == separator


@pytest.mark.parametrize("text", ["ab", '"', "\n", "\r", "\0", ", ", r"\n"])
def test_what_can_not_part_fields_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="csvSeparator"):
        _ = ExportRequest(csv_separator=text).separator


@given(st.text(max_size=3))
def test_a_separator_that_is_taken_is_one_that_csv_can_use(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        separator = ExportRequest(csv_separator=text).separator
        written = io.StringIO(newline="")
        csv.writer(written, delimiter=separator).writerow(["a", separator])
        assert next(csv.reader([written.getvalue()], delimiter=separator)) == ["a", separator]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("flights", "flights.csv"),
        ("a b", "a b.csv"),
        ("Flüge", "Flüge.csv"),
        ("../../etc/passwd", "_.._etc_passwd.csv"),
        ("C:\\x", "C__x.csv"),
        ("a\r\nSet-Cookie: b", "a__Set-Cookie_ b.csv"),
        ('"', "_.csv"),
        ("...", "downloadResultset.csv"),
        (" ", "downloadResultset.csv"),
        ("\u202efdp", "_fdp.csv"),
        ("x" * 1000, "x" * 150 + ".csv"),
    ],
)
def test_a_file_name_has_nothing_that_means_something(wanted: str, name: str) -> None:
    assert ExportRequest(output_file_name=wanted).file_name == name


@given(st.text())
def test_any_name_is_safe(wanted: str) -> None:
    name = ExportRequest(output_file_name=wanted).file_name
    assert name.endswith(".csv")
    assert len(name) <= 154
    assert not set(name) & set('/\\:*?"<>|\r\n\0')
    assert not name.startswith(".")


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        ("application/vnd.apache.parquet", "7_0.parquet"),
        ("image/png", "7_0.png"),
        ("image/jpeg", "7_0.jpg"),
        ("image/svg+xml", "7_0.svg"),
        ("text/plain", "7_0.txt"),
        ("text/html; charset=utf-8", "7_0.html"),
        ("made/up", "7_0.bin"),
        ("", "7_0.bin"),
    ],
)
def test_a_stored_result_has_an_ending(media_type: str, name: str) -> None:
    assert file_requests.stored_name("7_0", media_type) == name
