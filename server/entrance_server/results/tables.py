"""Tables in Parquet files: their shape, pages of text, streams. Everything here blocks.

A file may be far smaller than what it holds, as when one long text stands in every row, and tells
nothing of that. So it is read a few rows at a time, unless each value has a width that is known.

To import this module takes a fifth of a second and 50 MB, since it needs pyarrow. So only
`ResultFiles` does, in a thread, when there is a first table.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from entrance_server.results import csv_files, workbooks
from entrance_server.results.cells import texts
from entrance_server.results.errors import PageTooLarge, UnreadableTable
from entrance_server.results.window import Window

_BUFFER = 256 * 1024  # bytes read of a column at a time
_BATCH_BYTES = 1024 * 1024
_BATCH_ROWS = 8192
_STREAM_ROWS = 64 * 1024
_READ_ROWS = 64  # a text that stands in all of them has 1 MiB at most, or else is not packed
_VALUE_BYTES = 8  # that a value in a list takes in memory at least, however a file packs it
_PAGE_ROWS = 1024
_TEXT_CELLS = 128 * 1024  # of a batch that is made into text
_CELL_BYTES = 8  # that a cell costs beside its text


class TableFile:
    """A table in a file, which is opened anew for each read.

    Each read raises UnreadableTable where the file is no readable Parquet, and OSError where it
    can't be read at all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def shape(self) -> tuple[int, int]:
        """How many rows and columns it has."""
        with self._opened() as table:
            return table.metadata.num_rows, len(table.schema_arrow)

    def page(self, offset: int, limit: int, max_bytes: int) -> list[list[str | None]]:
        """Rows from an offset on, as many as both limits allow, but one at least if it has one."""
        rows: list[list[str | None]] = []
        size = 0
        with self._opened() as table:
            for row in itertools.islice(_rows(table, offset, limit), limit):
                size += sum(len(cell) for cell in row if cell is not None)
                if rows and size > max_bytes:
                    break
                rows.append(row)
        return rows

    def window(self, window: Window) -> list[list[str | None]]:
        """The rows of a window, as far as there are any.

        Raises:
            PageTooLarge: they have more than they may.
        """
        first, count = window.rows.start, len(window.rows)
        found: list[list[str | None]] = []
        size = 0
        with self._opened() as table:
            for row in itertools.islice(_rows(table, first, count, window.columns), count):
                cells = [cell for cell in row if cell is not None]
                size += sum(map(_size, cells)) + _CELL_BYTES * len(row)
                size += window.null_bytes * (len(row) - len(cells))
                if size > window.max_bytes or _has_longer(cells, window.max_cell):
                    raise PageTooLarge
                found.append(row)
        return found

    def arrow_stream(self, offset: int) -> Generator[bytes, None, None]:
        """The rows from an offset on as an Arrow IPC stream, a batch at a time."""
        written = io.BytesIO()
        with self._opened() as table:
            with pa.ipc.new_stream(written, table.schema_arrow) as writer:
                for batch in _batches(table, offset, _STREAM_ROWS):
                    writer.write_batch(batch)
                    yield _taken(written)
            yield _taken(written)

    def csv(
        self, header: Sequence[str], *, separator: str, null: str, limit: int | None
    ) -> Generator[bytes, None, None]:
        """The rows, or the first ones, as CSV below a header, in pieces."""
        with self._opened() as table:
            rows = batches(table, limit)
            yield from csv_files.pieces(rows, header, separator=separator, null=null)

    def workbook(
        self,
        header: Sequence[str],
        *,
        scratch: Path,
        sheet_name: str,
        null: str,
        limit: int | None,
    ) -> Generator[bytes, None, None]:
        """The rows, or the first ones, as an Excel workbook below a header, in pieces.

        Nothing comes until all of them are in the workbook, which is a file in `scratch` meanwhile.
        """
        with self._opened() as table:
            rows = batches(table, limit)
            yield from workbooks.pieces(
                rows, header, scratch=scratch, sheet_name=sheet_name, null=null
            )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        """Opens the file so that it is read bit by bit."""
        try:
            with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=_BUFFER) as table:
                yield table
        except pa.ArrowException as error:
            raise UnreadableTable(str(error)) from error


def _size(cell: str) -> int:
    return len(cell) if cell.isascii() else len(cell.encode())


def _has_longer(cells: Sequence[str], most: int | None) -> bool:
    return most is not None and any(len(cell) > most for cell in cells)


def batches(table: pq.ParquetFile, limit: int | None) -> Iterator[pa.RecordBatch]:
    """The first rows, or all, in batches of moderate size."""
    left = table.metadata.num_rows if limit is None else limit
    for batch in _batches(table, 0, _rows_of_text(table, _BATCH_ROWS)):
        if left <= 0:
            return
        yield batch.slice(0, left)
        left -= batch.num_rows


def _rows(
    table: pq.ParquetFile, offset: int, limit: int, columns: slice = slice(None)
) -> Iterator[list[str | None]]:
    """Rows from an offset on, made in batches that suit the number of rows that is wanted."""
    for batch in _batches(table, offset, _rows_of_text(table, min(limit, _PAGE_ROWS))):
        for row in zip(*map(texts, batch.columns[columns]), strict=True):
            yield list(row)


def _rows_of_text(table: pq.ParquetFile, most: int) -> int:
    """How many rows are made into text at once: fewer where there are many columns."""
    width = max(len(table.schema_arrow), 1)
    return max(min(most, _TEXT_CELLS // width), 1)


def _batches(table: pq.ParquetFile, offset: int, most: int) -> Iterator[pa.RecordBatch]:
    """The rows from an offset on, in batches of moderate size, or about as many as are wanted."""
    # joined, texts that are kept by reference would all be there at once when they are decoded
    joins = not any(types.is_dictionary(field.type) for field in table.schema_arrow)
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in _small_batches(table, offset, most):
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= most or size >= _BATCH_BYTES or not joins:
            yield pa.concat_batches(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.concat_batches(held)


def _small_batches(table: pq.ParquetFile, offset: int, most: int) -> Iterator[pa.RecordBatch]:
    """The rows from an offset on, at most so many at once. Row groups before it are not read."""
    groups = list(range(table.num_row_groups))
    while groups and offset >= (rows := table.metadata.row_group(groups[0]).num_rows):
        offset -= rows
        groups.pop(0)
    rows = min(_rows_at_once(table), most)
    for batch in table.iter_batches(rows, row_groups=groups, use_threads=False):
        if offset < batch.num_rows:
            yield batch.slice(offset)
        offset = max(offset - batch.num_rows, 0)


def _rows_at_once(table: pq.ParquetFile) -> int:
    """How many rows are read at once: fewer where rows, or the lists in them, are long."""
    if width := _row_width(table.schema_arrow):
        return max(1, _BATCH_BYTES // width)
    groups = [table.metadata.row_group(n) for n in range(table.num_row_groups)]
    columns = table.schema
    lists = [n for n in range(len(columns)) if columns.column(n).max_repetition_level]
    packed = sum(group.total_byte_size for group in groups)
    values = sum(group.column(n).num_values for n in lists for group in groups)
    size = max(packed, values * _VALUE_BYTES, 1)
    rows: int = _BATCH_BYTES * table.metadata.num_rows // size
    return max(1, min(_READ_ROWS, rows))


def _row_width(schema: pa.Schema) -> int | None:
    """Bytes that each row takes in memory, where all take the same."""
    kinds = schema.types
    if any(types.is_nested(kind) or types.is_dictionary(kind) for kind in kinds):
        return None
    try:
        width: int = sum(max(1, kind.bit_width // 8) for kind in kinds)
    except ValueError:  # of some kind values have any length
        return None
    return width


def _taken(written: io.BytesIO) -> bytes:
    """Empties the buffer."""
    data = written.getvalue()
    written.seek(0)
    written.truncate()
    return data
