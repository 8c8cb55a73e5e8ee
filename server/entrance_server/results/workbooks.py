"""Tables as Excel workbooks. Everything here blocks.

A workbook is for people: a number is a number where the 15 digits that Excel has hold it, a boolean
a boolean, a date a date, a time with a zone that of UTC, any other cell text and never a formula.
"""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types
from xlsxwriter import Workbook
from xlsxwriter.exceptions import XlsxFileError
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from entrance_server.results import contents
from entrance_server.results.cells import UNITS, plain, texts
from entrance_server.results.errors import ResultUnavailable

MAX_ROWS = 1_048_576  # of a sheet, its header among them

_NAME_LENGTH = 31
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_DIGITS = 15  # that Excel keeps of a number
_EXACT = 10**_DIGITS

_SECONDS_OF_DAY = 24 * 60 * 60
_DAY_OF_EPOCH = 25_569  # the number that Excel gives to 1970-01-01
_FIRST_DAY, _END_DAY = (
    61,
    2_958_466,
)  # 1900-03-01, before which Excel's days are wrong; the year 10000

Value: TypeAlias = str | float | bool | None


def pieces(
    batches: Iterable[pa.RecordBatch],
    header: Sequence[str],
    *,
    scratch: Path,
    sheet_name: str,
    null: str,
) -> Iterator[bytes]:
    """The rows of batches; nothing comes until all of them are in the workbook.

    Rows that a sheet has no place for go on in the next one.

    Args:
        batches: The rows.
        header: The names of their columns.
        scratch: A directory for temporary files, which are gone when the iterator is closed.
        sheet_name: What the sheet is called; characters that can't be in a name are left out.
        null: What stands for NULL.

    Raises:
        ResultUnavailable: the workbook can't be written.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        target = Path(directory, "workbook.xlsx")
        with _opened(target, directory) as book:
            sheets = _Sheets(book, sheet_name, header, null)
            for batch in batches:
                sheets.add(batch)
                yield b""
        yield from contents.pieces(target)


@contextlib.contextmanager
def _opened(target: Path, directory: str) -> Iterator[Workbook]:
    """A workbook whose rows go to files at once; it is written at the end, unless by an error."""
    book = Workbook(str(target), {"constant_memory": True, "tmpdir": directory, "use_zip64": True})
    try:
        yield book
        book.close()
    except XlsxFileError as error:
        raise ResultUnavailable(str(error)) from error
    finally:
        for sheet in book.worksheets():
            sheet.row_data_fh.close()


class _Sheets:
    """Writes rows into a sheet, and into a next one when it is full."""

    def __init__(self, book: Workbook, name: str, header: Sequence[str], null: str) -> None:
        self._book = book
        self._name = name
        self._header = header
        self._null = null
        self._formats = {
            _DATE: book.add_format({"num_format": "yyyy-mm-dd"}),
            _TIME: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"}),
        }
        self._bold = book.add_format({"bold": True})
        self._sheet = self._next_sheet()

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds the rows of a batch."""
        columns = [_column(column) for column in batch.columns]
        writers = [(column.kind, self._formats.get(column.kind)) for column in columns]
        for row in zip(*(column.values for column in columns), strict=True):
            if self._row == MAX_ROWS:
                self._sheet = self._next_sheet()
            for place, (value, (kind, number_format)) in enumerate(zip(row, writers, strict=True)):
                self._write(place, value, kind, number_format)
            self._row += 1

    def _write(self, place: int, value: Value, kind: str, number_format: Format | None) -> None:
        sheet, row = self._sheet, self._row
        if value is None:
            if self._null:
                sheet.write_string(row, place, self._null)
        elif isinstance(value, str):
            sheet.write_string(row, place, value)
        elif kind is _BOOLEAN:
            sheet.write_boolean(row, place, value)
        else:
            sheet.write_number(row, place, value, number_format)

    def _next_sheet(self) -> Worksheet:
        sheet = self._book.add_worksheet(_sheet_name(self._name, len(self._book.worksheets())))
        sheet.freeze_panes(1, 0)
        for place, name in enumerate(self._header):
            sheet.write_string(0, place, name, self._bold)
        self._row = 1
        return sheet


def _sheet_name(wanted: str, number: int) -> str:
    """A name that a sheet can have; the second sheet is marked as that, and so on."""
    mark = f" ({number + 1})" if number else ""
    name = _NOT_IN_NAMES.sub("", wanted)
    # characters beyond the first 65,536 count twice in a name
    name = name.encode("utf-16-le")[: 2 * (_NAME_LENGTH - len(mark))].decode("utf-16-le", "ignore")
    return (name.strip().strip("'") or "result") + mark


_TEXT, _NUMBER, _BOOLEAN, _DATE, _TIME = "text", "number", "boolean", "date", "time"


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of a column: each of its kind, or text where it can't be."""

    kind: str
    values: Sequence[Value]


def _column(array: pa.Array) -> _Column:
    array = plain(array)
    for holds, kind, convert in _KINDS:
        if holds(array.type):
            return _Column(kind, convert(array))
    return _Column(_TEXT, texts(array))


def _integers(array: pa.Array) -> Sequence[Value]:
    return _or_text(array, array.to_pylist(), lambda value: abs(value) < _EXACT)


def _floats(array: pa.Array) -> Sequence[Value]:
    # read from text, so that a float of 32 bits has no digits that it had not
    values = [None if text is None else float(text) for text in texts(array)]
    return _or_text(array, values, math.isfinite)


def _decimals(array: pa.Array) -> Sequence[Value]:
    return [text if text is None or not _fits(text) else float(text) for text in texts(array)]


def _fits(decimal: str) -> bool:
    return len(decimal.lstrip("-0.").replace(".", "")) <= _DIGITS


def _dates(array: pa.Array) -> Sequence[Value]:
    return _days(pc.cast(pc.cast(array, pa.date32()), pa.int32()), 1, array)


def _times(array: pa.Array) -> Sequence[Value]:
    return _days(pc.cast(array, pa.int64()), _SECONDS_OF_DAY * UNITS[array.type.unit], array)


def _days(ticks: pa.Array, ticks_of_day: int, array: pa.Array) -> Sequence[Value]:
    """Days as Excel counts them; text for those that it does not have."""
    days = [
        None if value is None else value / ticks_of_day + _DAY_OF_EPOCH
        for value in ticks.to_pylist()
    ]
    return _or_text(array, days, lambda day: _FIRST_DAY <= day < _END_DAY)


def _or_text(
    array: pa.Array, values: Sequence[float | None], fits: Callable[[float], bool]
) -> Sequence[Value]:
    """The values, with the text of each that does not fit in its place."""
    if all(value is None or fits(value) for value in values):
        return values
    return [
        value if value is None or fits(value) else text
        for value, text in zip(values, texts(array), strict=True)
    ]


_KINDS: tuple[tuple[Callable[[Any], bool], str, Callable[[pa.Array], Sequence[Value]]], ...] = (
    (types.is_boolean, _BOOLEAN, pa.Array.to_pylist),
    (types.is_integer, _NUMBER, _integers),
    (types.is_floating, _NUMBER, _floats),
    (types.is_decimal, _NUMBER, _decimals),
    (types.is_date, _DATE, _dates),
    (types.is_timestamp, _TIME, _times),
)
