"""Files by path: from the public proto to the service's terms, and back."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

from entrance.v1 import files_pb2 as pb
from entrance_server.domain.job import Column, ResultType
from entrance_server.logs.levels import LogLevel
from entrance_server.rpc.requests import refusal
from entrance_server.rpc.responses import DATA_BYTES
from entrance_server.service.file_requests import ExportRequest, PageRequest
from entrance_server.service.files import FileHead, FilePage, Pieces, ResultListing

Piece = TypeVar("Piece", pb.ResultsetToExcelResponse, pb.DownloadResponse)

NULL: Final = "NULL"
BLANK: Final = "BLANK"  # how callers ask for an empty text, since an empty parameter is unset

TYPES: Final[Mapping[ResultType, str]] = {
    ResultType.TEXT: "1",
    ResultType.TABLE: "2",
    ResultType.PICTURE: "4",
    ResultType.HTML: "5",
}
MAX_NULL: Final = 100  # characters
_MOST_PAGES: Final = 2**31 - 1


def listing(listing: ResultListing | None) -> pb.GetDirFileTreesResponse:
    """The result sets of a job."""
    if listing is None:
        return pb.GetDirFileTreesResponse()
    children = [
        pb.DirFileTree(
            name=entry.path.name,
            path=str(entry.path),
            properties={
                "size": str(entry.size_bytes),
                "modifytime": str(round(entry.modify_time.timestamp() * 1000)),
            },
            is_leaf=True,
            parent_path=str(listing.path),
        )
        for entry in listing.entries
    ]
    return pb.GetDirFileTreesResponse(
        dir_file_trees=pb.DirFileTree(
            name=listing.path.name, path=str(listing.path), children=children
        )
    )


def page_request(request: pb.OpenFileRequest) -> PageRequest:
    """Which page of a result set to open."""
    return PageRequest(
        page=request.page,
        page_size=request.page_size,
        column_page=request.column_page,
        column_page_size=request.column_page_size,
        for_display=request.enable_limit,
        null_value=null_of(request),
    )


def page(page: FilePage, null: str) -> pb.OpenFileResponse:
    """A page of a result set. Blocks for a while when it is large."""
    is_table = page.result.type is ResultType.TABLE
    return pb.OpenFileResponse(
        metadata=map(_column, page.columns),
        file_content=[pb.FileRow(cells=row) for row in _rows(page, null)],
        type=TYPES[page.result.type],
        total_line=page.result.row_count if is_table else 1,
        total_page=min(page.total_pages, _MOST_PAGES),
        total_column=len(page.result.columns) if is_table else 1,
        page=page.page,
        display_prohibited=page.is_prohibited or None,
    )


def _rows(page: FilePage, null: str) -> Sequence[Sequence[str]]:
    if page.result.type is ResultType.TABLE:
        return [[null if cell is None else cell for cell in row] for row in page.rows]
    if page.is_prohibited or page.page > 1:
        return []
    if page.result.type is ResultType.PICTURE:
        return [[base64.b64encode(page.content).decode()]]
    return [[page.content.decode(errors="replace")]]


def _column(column: Column) -> pb.FileColumn:
    return pb.FileColumn(
        column_name=column.name, data_type=column.data_type, comment=column.comment
    )


def null_of(request: pb.OpenFileRequest | pb.ResultsetToExcelRequest) -> str:
    """What stands for NULL.

    Raises:
        InvalidRequest: it is too long to stand in every cell of a table.
    """
    if not request.HasField("null_value"):
        return NULL
    if len(request.null_value) > MAX_NULL:
        raise refusal("nullValue", f"has more than {MAX_NULL} characters; send a shorter text")
    return "" if request.null_value.upper() == BLANK else request.null_value


def levels(request: pb.OpenLogRequest) -> frozenset[LogLevel]:
    """Which levels of a log are wanted; none means all.

    Raises:
        InvalidRequest: a level is none that exists.
    """
    names = {name.strip().upper() for name in request.log_level.split(",")} - {""}
    if "ALL" in names:
        return frozenset()
    known = LogLevel.__members__
    if unknown := sorted(names - known.keys()):
        raise refusal("logLevel", f"'{unknown[0][:40]}' is none of all, error, warn and info")
    return frozenset(known[name] for name in names)


def export_request(request: pb.ResultsetToExcelRequest) -> ExportRequest:
    """How to export a table."""
    return ExportRequest(
        output_file_type=request.output_file_type,
        csv_separator=request.csv_separator,
        output_file_name=request.output_file_name,
        sheet_name=request.sheet_name,
        null_value=null_of(request),
        limit=request.limit,
    )


async def messages(
    head: FileHead, pieces: Pieces, message_class: type[Piece], *, limit: int = DATA_BYTES
) -> AsyncGenerator[Piece, None]:
    """The messages of a file: its name and type in the first one, then its bytes."""
    yield message_class(file_name=head.name, media_type=head.media_type)
    async with aclosing(pieces):
        async for piece in pieces:
            for start in range(0, len(piece) or 1, limit):
                yield message_class(data=piece[start : start + limit])
