"""Tables in Parquet files: their shape, pages of text, Arrow streams. Everything here blocks.

A file may be far smaller than what it holds, as when one long text stands in every row. So texts
are read by reference, and become values in parts that memory has room for.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from entrance_server.results.cells import texts

PIECE = 256 * 1024  # bytes of a stream that are handed on at a time

_BUFFER = 256 * 1024  # bytes read of a column at a time
_BATCH_BYTES = 1024 * 1024
_BATCH_ROWS = 8192
_VALUE_BYTES = 8  # that a value takes in memory at least, however a file packs it
_PAGE_ROWS = 1024
_PAGE_CELLS = 128 * 1024  # of a batch that is made into text
_CELL_BYTES = 8  # that a cell costs beside its text


class PageTooLarge(Exception):
    """Rows that were asked for are more than may be told at once."""


def shape(path: Path) -> tuple[int, int]:
    """How many rows and columns a table has.

    Raises:
        pyarrow.ArrowException, OSError: the file is no readable Parquet.
    """
    with _opened(path) as table:
        return table.metadata.num_rows, len(table.schema)


def page(path: Path, offset: int, limit: int, max_bytes: int) -> list[list[str | None]]:
    """Rows from an offset on, as many as both limits allow, but one at least where there is one."""
    rows: list[list[str | None]] = []
    size = 0
    with _opened(path) as table:
        for row in itertools.islice(_rows(table, offset, limit), limit):
            size += sum(len(cell) for cell in row if cell is not None)
            if rows and size > max_bytes:
                break
            rows.append(row)
    return rows


def window(
    path: Path, rows: range, columns: slice, max_bytes: int, max_cell: int | None
) -> list[list[str | None]]:
    """Some rows, as far as there are any, with some of their columns.

    Raises:
        PageTooLarge: they have more bytes as UTF-8 than they may, or a cell more characters.
    """
    found: list[list[str | None]] = []
    size = 0
    with _opened(path) as table:
        for row in itertools.islice(_rows(table, rows.start, len(rows), columns), len(rows)):
            cells = [cell for cell in row if cell is not None]
            size += sum(map(_size, cells)) + _CELL_BYTES * len(row)
            if size > max_bytes or _has_longer(cells, max_cell):
                raise PageTooLarge
            found.append(row)
    return found


def _size(cell: str) -> int:
    return len(cell) if cell.isascii() else len(cell.encode())


def _has_longer(cells: Sequence[str], most: int | None) -> bool:
    return most is not None and any(len(cell) > most for cell in cells)


def batches(path: Path, limit: int | None) -> Iterator[pa.RecordBatch]:
    """The first rows, or all, in batches of moderate size."""
    with _opened(path) as table:
        left = table.metadata.num_rows if limit is None else limit
        for batch in _batches(table, 0, _BATCH_ROWS):
            if left <= 0:
                return
            yield batch.slice(0, left)
            left -= batch.num_rows


def arrow_stream(path: Path, offset: int) -> Generator[bytes, None, None]:
    """The rows from an offset on as an Arrow IPC stream, in pieces."""
    written = io.BytesIO()
    with _opened(path) as table:
        with pa.ipc.new_stream(written, table.schema) as writer:
            for batch in _batches(table, offset, _BATCH_ROWS):
                writer.write_batch(batch)
                yield from _taken(written)
        yield from _taken(written)


@dataclass(frozen=True, slots=True)
class _Table:
    """An open file, whose texts are read by reference, and its schema as it was written."""

    file: pq.ParquetFile
    schema: pa.Schema

    @property
    def metadata(self) -> pq.FileMetaData:
        return self.file.metadata

    def decoded(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch with its values in place."""
        columns = [
            column if column.type == field.type else column.dictionary_decode().cast(field.type)
            for column, field in zip(batch.columns, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


@contextmanager
def _opened(path: Path) -> Iterator[_Table]:
    """Opens a table so that it is read bit by bit."""
    with pq.ParquetFile(path) as written:
        schema = written.schema_arrow
    texts = [field.name for field in schema if _is_text(field.type)]
    with pq.ParquetFile(path, read_dictionary=texts, pre_buffer=False, buffer_size=_BUFFER) as file:
        yield _Table(file, schema)


def _is_text(kind: pa.DataType) -> bool:
    return any(
        holds(kind)
        for holds in (
            types.is_string,
            types.is_large_string,
            types.is_binary,
            types.is_large_binary,
        )
    )


def _rows(
    table: _Table, offset: int, limit: int, columns: slice = slice(None)
) -> Iterator[list[str | None]]:
    """Rows from an offset on, made in batches that suit the number of rows that is wanted."""
    width = len(table.schema)
    for batch in _batches(table, offset, min(limit, _PAGE_ROWS, _PAGE_CELLS // max(width, 1))):
        for row in zip(*map(texts, batch.columns[columns]), strict=True):
            yield list(row)


def _batches(table: _Table, offset: int, most: int) -> Iterator[pa.RecordBatch]:
    """The rows from an offset on, at most so many in a batch. Row groups before it are not read."""
    groups = list(range(table.metadata.num_row_groups))
    while groups and offset >= (rows := table.metadata.row_group(groups[0]).num_rows):
        offset -= rows
        groups.pop(0)
    rows = max(1, min(most, _rows_of_batch(table)))
    for batch in table.file.iter_batches(rows, row_groups=groups, use_threads=False):
        if offset < batch.num_rows:
            for part in _parts(batch.slice(offset)):
                yield table.decoded(part)
        offset = max(offset - batch.num_rows, 0)


def _rows_of_batch(table: _Table) -> int:
    """How many rows make a batch of the wanted size, by the mean size of a row."""
    groups = [table.metadata.row_group(n) for n in range(table.metadata.num_row_groups)]
    columns = table.file.schema
    nested = [n for n in range(len(columns)) if columns.column(n).max_repetition_level]
    packed = sum(group.total_byte_size for group in groups)
    values = sum(group.column(n).num_values for n in nested for group in groups)
    size = max(packed, values * _VALUE_BYTES, 1)
    rows: int = _BATCH_BYTES * table.metadata.num_rows // size
    return rows


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in parts whose texts are of the wanted size, or that are one row."""
    sizes = [_text_sizes(column) for column in batch.columns if types.is_dictionary(column.type)]
    known = [one for one in sizes if one is not None]
    if sum(pc.sum(one).as_py() or 0 for one in known) <= _BATCH_BYTES:
        yield batch
        return
    start = size = 0
    for row, of_row in enumerate(map(sum, zip(*(one.to_pylist() for one in known), strict=True))):
        if row > start and size + of_row > _BATCH_BYTES:
            yield batch.slice(start, row - start)
            start, size = row, 0
        size += of_row
    yield batch.slice(start)


def _text_sizes(column: pa.DictionaryArray) -> pa.Array | None:
    """The bytes of the text in each row; None where the values are of another kind."""
    if not _is_text(column.type.value_type):
        return None
    sizes = pc.cast(pc.binary_length(column.dictionary), pa.int64())
    return pc.fill_null(pc.take(sizes, column.indices), 0)


def _taken(written: io.BytesIO) -> Iterator[bytes]:
    """Empties the buffer, in pieces."""
    data = written.getvalue()
    written.seek(0)
    written.truncate()
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
