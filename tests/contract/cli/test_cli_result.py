"""`entrance result`: tables in every format, text, pictures, and where they go."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.contract.cli.terminal import TerminalCommand
from tests.contract.client.fake_service import PICTURE, TABLE, FakeService


@pytest.fixture
def table(entrance: TerminalCommand, service: FakeService) -> str:
    """The id of a job with a table."""
    return str(service.create("table"))


@pytest.fixture
def picture(entrance: TerminalCommand, service: FakeService) -> str:
    """The id of a job with a picture."""
    return str(service.create("picture"))


def test_a_table_is_aligned_with_null_apart_from_an_empty_text(
    entrance: TerminalCommand, table: str
) -> None:
    assert entrance.run("result", table).lines == [
        "city                      people   mean   tags         old",
        "─" * 60,
        'Bern                      134794    1.5   ["a"]        true',
        "NULL         4611686018427387904    nan   []           NULL",
        'Łódź, "PL"                  NULL   NULL   NULL         false',
        '                               0    2.0   ["b", "c"]   true',
    ]


def test_a_table_says_how_many_rows_are_left_out(entrance: TerminalCommand, table: str) -> None:
    done = entrance.run("result", table, "--limit", "1")

    assert len(done.lines) == 3
    assert done.stderr == "1 of 4 rows shown; --format csv gives all\n"


def test_csv_quotes_what_needs_it_and_keeps_null_apart(
    entrance: TerminalCommand, table: str
) -> None:
    assert entrance.run("result", table, "--format", "csv").lines == [
        "city,people,mean,tags,old",
        'Bern,134794,1.5,"[""a""]",true',
        ",4611686018427387904,nan,[],",
        '"Łódź, ""PL""",,,,false',
        '"",0,2.0,"[""b"", ""c""]",true',
    ]


def test_json_is_an_object_for_each_row_with_all_digits(
    entrance: TerminalCommand, table: str
) -> None:
    done = entrance.run("result", table, "--json")

    assert done.objects == [
        {"city": "Bern", "people": 134_794, "mean": 1.5, "tags": ["a"], "old": True},
        {"city": None, "people": 2**62, "mean": None, "tags": [], "old": None},
        {"city": 'Łódź, "PL"', "people": None, "mean": None, "tags": None, "old": False},
        {"city": "", "people": 0, "mean": 2.0, "tags": ["b", "c"], "old": True},
    ]


def test_parquet_goes_to_the_file_whose_ending_says_so(
    entrance: TerminalCommand, table: str, tmp_path: Path
) -> None:
    done = entrance.run("result", table, "-o", "t.parquet")

    assert (done.code, done.text) == (0, "t.parquet\n")
    saved = parquet.read_table(tmp_path / "t.parquet")
    assert saved.schema == TABLE.schema
    assert saved.column("people") == TABLE.column("people")


def test_arrow_goes_into_a_pipe_and_stops_at_the_limit(
    entrance: TerminalCommand, table: str
) -> None:
    content = entrance.ok("result", table, "--format", "arrow", "--limit", "3").stdout

    assert pa.ipc.open_stream(io.BytesIO(content)).read_all().num_rows == 3


def test_a_file_is_replaced_whole_or_not_at_all(
    entrance: TerminalCommand, service: FakeService, table: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("old")
    for _ in range(10):
        service.break_next("ReadResult")

    done = entrance.run("result", table, "-o", "t.csv")

    assert done.code == 5
    assert (tmp_path / "t.csv").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv"}


def test_a_picture_is_saved_and_its_path_printed(
    entrance: TerminalCommand, picture: str, tmp_path: Path
) -> None:
    done = entrance.run("result", picture)

    assert done.text == "job-1-0.png\n"
    assert (tmp_path / "job-1-0.png").read_bytes() == PICTURE


def test_a_picture_goes_into_a_pipe_when_it_is_asked_to(
    entrance: TerminalCommand, picture: str
) -> None:
    assert entrance.ok("result", picture, "-o", "-").stdout == PICTURE


def test_text_is_printed_and_a_page_is_saved(
    entrance: TerminalCommand, service: FakeService, tmp_path: Path
) -> None:
    service.create("text Grüezi\nhtml <b>hi</b>")

    assert entrance.run("result", "1").text == "Grüezi\n"
    assert json.loads(entrance.run("result", "1", "--json").text)["text"] == "Grüezi"
    assert entrance.run("result", "1", "1").text == "job-1-1.html\n"
    assert (tmp_path / "job-1-1.html").read_text() == "<b>hi</b>"


def test_results_are_listed(entrance: TerminalCommand, service: FakeService) -> None:
    service.create("table\npicture")

    rows = [line.split("\t") for line in entrance.run("result", "1", "--list").lines]

    assert [row[:4] for row in rows] == [
        ["INDEX", "TYPE", "ROWS", "COLUMNS"],
        ["0", "table", "4", "5"],
        ["1", "picture", "", ""],
    ]


@pytest.mark.parametrize(
    ("code", "arguments", "exit_code", "told"),
    [
        (
            "picture",
            ["1", "--format", "csv"],
            2,
            "result 0 is of type picture; --format is for tables",
        ),
        (
            "table",
            ["1", "--format", "xml"],
            2,
            "--format takes one of table, csv, json, parquet, arrow, and 'xml' is none",
        ),
        ("text hi", ["1", "3"], 1, "Job 1 has no result set 3."),
        ("fail no such table", ["1"], 1, "job 1 ended as Failed: no such table"),
        (
            "hang",
            ["1"],
            1,
            "job 1 is Running and has no result 0 yet; entrance log -f 1 waits for its end",
        ),
    ],
)
def test_what_cannot_be_had_is_told_in_a_line(
    entrance: TerminalCommand,
    service: FakeService,
    code: str,
    arguments: list[str],
    exit_code: int,
    told: str,
) -> None:
    service.create(code)

    done = entrance.run("result", *arguments)

    assert (done.code, done.text, done.stderr) == (exit_code, "", f"error: {told}\n")


def test_a_directory_that_is_not_there_is_told_by_the_files_name(
    entrance: TerminalCommand, table: str
) -> None:
    done = entrance.run("result", table, "-o", "gone/a.csv")

    assert (done.code, done.stderr) == (1, "error: gone/a.csv: No such file or directory\n")
