"""Files by path, between the proto and the service."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from entrance.v1 import files_pb2 as pb
from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.job import Column, ResultSet, ResultType
from entrance_server.domain.paths import ResultSetPath, ResultsPath
from entrance_server.logs.levels import LogLevel
from entrance_server.rpc import file_messages
from entrance_server.service.file_requests import ExportRequest, PageRequest
from entrance_server.service.files import FileHead, FilePage, ResultEntry, ResultListing

TABLE = ResultSet(
    0,
    ResultType.TABLE,
    "application/x",
    "1-0.parquet",
    row_count=5,
    columns=(Column("n", "int", "a number"), Column("t", "string")),
)


def other(kind: ResultType) -> ResultSet:
    return ResultSet(0, kind, "application/x", "1-0.x", size_bytes=3)


def test_a_listing_has_a_leaf_for_each_result() -> None:
    entry = ResultEntry(ResultSetPath(7, 0), 1991, datetime(2026, 1, 1, 0, 0, 0, 500_000, UTC))
    assert file_messages.listing(ResultListing(ResultsPath(7), [entry])).dir_file_trees == (
        pb.DirFileTree(
            name="results",
            path="entrance:///7/results",
            children=[
                pb.DirFileTree(
                    name="_0.dolphin",
                    path="entrance:///7/results/_0.dolphin",
                    properties={"size": "1991", "modifytime": "1767225600500"},
                    is_leaf=True,
                    parent_path="entrance:///7/results",
                )
            ],
        )
    )


def test_a_place_that_is_not_there_has_no_tree() -> None:
    assert not file_messages.listing(None).HasField("dir_file_trees")
    assert file_messages.listing(ResultListing(ResultsPath(7), [])).HasField("dir_file_trees")


def test_a_page_of_a_table_has_its_columns_and_its_cells() -> None:
    page = FilePage(TABLE, 2, 3, TABLE.columns, [["1", None], ["2", "x"]])
    assert file_messages.page(page, "NULL") == pb.OpenFileResponse(
        metadata=[
            pb.FileColumn(column_name="n", data_type="int", comment="a number"),
            pb.FileColumn(column_name="t", data_type="string"),
        ],
        file_content=[pb.FileRow(cells=["1", "NULL"]), pb.FileRow(cells=["2", "x"])],
        type="2",
        total_line=5,
        total_page=3,
        total_column=2,
        page=2,
    )
    assert file_messages.page(page, "").file_content[0].cells == ["1", ""]


@pytest.mark.parametrize(
    ("kind", "type", "cell"),
    [
        (ResultType.TEXT, "1", "a\ufffdb"),
        (ResultType.HTML, "5", "a\ufffdb"),
        (ResultType.PICTURE, "4", "Yf9i"),
    ],
)
def test_what_is_no_table_is_one_cell(kind: ResultType, type: str, cell: str) -> None:
    page = FilePage(other(kind), 1, 1, content=b"a\xffb")
    assert file_messages.page(page, "NULL") == pb.OpenFileResponse(
        file_content=[pb.FileRow(cells=[cell])],
        type=type,
        total_line=1,
        total_page=1,
        total_column=1,
        page=1,
    )
    assert file_messages.page(FilePage(other(kind), 2, 1), "").file_content == []


def test_what_is_too_large_has_no_content() -> None:
    for result in (TABLE, other(ResultType.HTML)):
        answer = file_messages.page(FilePage(result, 1, 1, is_prohibited=True), "")
        assert answer.display_prohibited
        assert answer.file_content == []
    assert not file_messages.page(FilePage(TABLE, 1, 1), "").HasField("display_prohibited")


def test_more_pages_than_a_number_holds_are_as_many_as_it_holds() -> None:
    assert file_messages.page(FilePage(TABLE, 1, 2**40), "").total_page == 2**31 - 1


@pytest.mark.parametrize(
    ("given", "null"), [(None, "NULL"), ("", ""), ("BLANK", ""), ("blank", ""), ("-", "-")]
)
def test_null_is_shown_as_it_is_asked_for(given: str | None, null: str) -> None:
    assert file_messages.null_of(pb.OpenFileRequest(null_value=given)) == null
    assert file_messages.null_of(pb.ResultsetToExcelRequest(null_value=given)) == null


def test_what_stands_for_null_is_short() -> None:
    file_messages.null_of(pb.OpenFileRequest(null_value="x" * 100))
    with pytest.raises(InvalidRequest, match="nullValue"):
        file_messages.null_of(pb.OpenFileRequest(null_value="x" * 101))


def test_a_page_is_asked_for() -> None:
    assert file_messages.page_request(pb.OpenFileRequest()) == PageRequest()
    request = pb.OpenFileRequest(
        page=1, page_size=2, column_page=3, column_page_size=4, enable_limit=True, null_value="-"
    )
    assert file_messages.page_request(request) == PageRequest(
        page=1, page_size=2, column_page=3, column_page_size=4, for_display=True, null_value="-"
    )


def test_an_export_is_asked_for() -> None:
    assert file_messages.export_request(pb.ResultsetToExcelRequest()) == ExportRequest()
    request = pb.ResultsetToExcelRequest(
        output_file_type="xlsx",
        csv_separator=";",
        output_file_name="x",
        sheet_name="y",
        null_value="-",
        limit=-1,
    )
    assert file_messages.export_request(request) == ExportRequest(
        output_file_type="xlsx",
        csv_separator=";",
        output_file_name="x",
        sheet_name="y",
        null_value="-",
        limit=-1,
    )


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", frozenset()),
        ("all", frozenset()),
        ("error,ALL", frozenset()),
        ("error", frozenset({LogLevel.ERROR})),
        ("Warn, info", frozenset({LogLevel.WARN, LogLevel.INFO})),
    ],
)
def test_levels_are_asked_for(text: str, levels: frozenset[LogLevel]) -> None:
    assert file_messages.levels(pb.OpenLogRequest(log_level=text)) == levels


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="all, error, warn and info"):
        file_messages.levels(pb.OpenLogRequest(log_level="fatal"))


async def test_a_file_is_sent_in_messages_that_a_client_takes() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for piece in (b"abcde", b"", b"f"):
            yield piece

    head = FileHead("x.csv", "text/csv")
    sent = file_messages.messages(head, pieces(), pb.DownloadResponse, limit=2)
    first, *rest = [message async for message in sent]
    assert first == pb.DownloadResponse(file_name="x.csv", media_type="text/csv")
    assert [message.data for message in rest] == [b"ab", b"cd", b"e", b"", b"f"]
    assert not any(message.file_name for message in rest)
