"""What callers ask of results by path: which page of one, or which export of it. Pure."""

from __future__ import annotations

import enum
import mimetypes
from dataclasses import dataclass
from typing import Final

from entrance_server.domain import errors
from entrance_server.domain.errors import FieldViolation

TABLE_TOO_LARGE: Final = 80034
WRONG_COLUMNS: Final = 80036
WRONG_TYPE: Final = 80015
JOB_MISSING: Final = 80011
NOT_THERE: Final = 80012
NOT_A_TABLE: Final = 80024
CONTENT_TOO_LARGE: Final = 80033

MAX_COLUMNS: Final = 500  # in a page of columns
DEFAULT_NAME: Final = "downloadResultset"
DEFAULT_SHEET: Final = "result"
MAX_NAME: Final = 150  # characters

_ENDINGS = {
    "application/vnd.apache.parquet": ".parquet",
    "text/plain": ".txt",
    "text/html": ".html",
    "image/jpeg": ".jpg",
}
_NO_SEPARATORS = frozenset('"\r\n\0')
_NOT_IN_NAMES = frozenset('/\\:*?"<>|')


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page to open, as it was asked for: pages count from 1, and 0 stands for what is usual.

    `for_display` asks for what can be shown to somebody: columns in pages, and no long cells.
    """

    page: int = 0
    page_size: int = 0
    column_page: int = 0
    column_page_size: int = 0
    for_display: bool = False
    null_value: str = "NULL"

    def window(self, max_rows: int) -> tuple[range, slice]:
        """The rows, one at least, and the columns that the page has.

        Raises:
            InvalidRequest: a number is negative or too large.
        """
        for field, value in (("page", self.page), ("pageSize", self.page_size)):
            if value < 0:
                raise _wrong(field, f"is {value}; send a number from 1 on, or 0 for the usual one")
        if self.page_size > max_rows:
            raise _wrong(
                "pageSize",
                f"is {self.page_size:,}; send at most {max_rows:,}, and page for the rows after",
                err_code=TABLE_TOO_LARGE,
            )
        size = self.page_size or max_rows
        start = (max(self.page, 1) - 1) * size
        return range(start, start + size), self._columns()

    def _columns(self) -> slice:
        size = self.column_page_size
        if self.column_page < 0 or not 0 <= size <= MAX_COLUMNS:
            raise _wrong(
                "columnPageSize" if self.column_page >= 0 else "columnPage",
                f"takes pages from 1 on with 1 to {MAX_COLUMNS} columns, not page "
                f"{self.column_page} with {size}",
                err_code=WRONG_COLUMNS,
            )
        if not (self.for_display or self.column_page or size):
            return slice(None)
        start = (max(self.column_page, 1) - 1) * (size or MAX_COLUMNS)
        return slice(start, start + (size or MAX_COLUMNS))


class FileFormat(enum.StrEnum):
    """What a table can be exported as; the value is the ending of the file's name."""

    CSV = "csv"
    XLSX = "xlsx"

    @property
    def media_type(self) -> str:
        """The media type of a file of this format."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES: Final = {
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """How to export a table, as it was asked for: what is empty stands for what is usual.

    A `limit` of 0 is the usual number of rows, a negative one means all.
    """

    output_file_type: str = ""
    csv_separator: str = ""
    output_file_name: str = ""
    sheet_name: str = ""
    null_value: str = "NULL"
    limit: int = 0

    @property
    def format(self) -> FileFormat:
        """The format.

        Raises:
            InvalidRequest: it is none that there is.
        """
        try:
            return FileFormat(self.output_file_type.lower() or FileFormat.CSV)
        except ValueError:
            known = " or ".join(FileFormat)
            raise _wrong(
                "outputFileType",
                f"is '{self.output_file_type[:40]}'; send {known}",
                err_code=WRONG_TYPE,
            ) from None

    @property
    def separator(self) -> str:
        """What parts the fields of CSV.

        Raises:
            InvalidRequest: it is not one character that can.
        """
        separator = {"": ",", "\\t": "\t"}.get(self.csv_separator, self.csv_separator)
        if len(separator) != 1 or separator in _NO_SEPARATORS:
            raise _wrong(
                "csvSeparator",
                "must be one character, no quotation mark and no end of a line; \\t is a tab",
            )
        return separator

    @property
    def file_name(self) -> str:
        """What the file is called; it fits any file system, and any header once it is quoted."""
        return f"{_safe(self.output_file_name) or DEFAULT_NAME}.{self.format}"

    @property
    def sheet(self) -> str:
        """What the sheet of a workbook is called."""
        return self.sheet_name or DEFAULT_SHEET


def stored_name(stem: str, media_type: str) -> str:
    """What a file of a media type is called."""
    bare = media_type.partition(";")[0].strip()
    ending = _ENDINGS.get(bare) or mimetypes.guess_extension(bare) or ".bin"
    return stem + ending


def _safe(name: str) -> str:
    """A name without what has a meaning to a file system, a header or a reader's eye."""
    shown = "".join(
        char if char.isprintable() and char not in _NOT_IN_NAMES else "_" for char in name
    )
    return shown[:MAX_NAME].strip(" .")


def _wrong(field: str, description: str, *, err_code: int | None = None) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        f"{field} {description}.",
        reason="WRONG_FILE_REQUEST",
        err_code=err_code,
        violations=[FieldViolation(field, description)],
    )
