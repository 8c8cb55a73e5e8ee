"""Tables in Parquet files: their shape, pages of text, Arrow streams. Everything here blocks."""

from __future__ import annotations

import io
import itertools
from collections.abc import Generator, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from entrance_server.results.cells import texts

PIECE = 256 * 1024  # bytes of a stream that are handed on at a time

_BUFFER = 256 * 1024  # bytes read of a column at a time
_BATCH_BYTES = 1024 * 1024
_BATCH_ROWS = 8192
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
        return table.metadata.num_rows, len(table.schema_arrow)


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
        PageTooLarge: they have more characters than one of the limits allows.
    """
    found: list[list[str | None]] = []
    size = 0
    with _opened(path) as table:
        for row in itertools.islice(_rows(table, rows.start, len(rows), columns), len(rows)):
            lengths = [len(cell) for cell in row if cell is not None]
            size += sum(lengths) + _CELL_BYTES * len(row)
            if size > max_bytes or (max_cell is not None and max(lengths, default=0) > max_cell):
                raise PageTooLarge
            found.append(row)
    return found


def batches(path: Path, limit: int | None) -> Iterator[pa.RecordBatch]:
    """The first rows, or all, in batches of moderate size."""
    with _opened(path) as table:
        left = table.metadata.num_rows if limit is None else limit
        for batch in _batches(table, 0, _rows_of_batch(table.metadata)):
            if left <= 0:
                return
            yield batch.slice(0, left)
            left -= batch.num_rows


def arrow_stream(path: Path, offset: int) -> Generator[bytes, None, None]:
    """The rows from an offset on as an Arrow IPC stream, in pieces."""
    written = io.BytesIO()
    with _opened(path) as table:
        with pa.ipc.new_stream(written, table.schema_arrow) as writer:
            for batch in _batches(table, offset, _rows_of_batch(table.metadata)):
                writer.write_batch(batch)
                yield from _taken(written)
        yield from _taken(written)


def _opened(path: Path) -> pq.ParquetFile:
    """Opens a table so that it is read bit by bit."""
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER)


def _rows(
    table: pq.ParquetFile, offset: int, limit: int, columns: slice = slice(None)
) -> Iterator[list[str | None]]:
    """Rows from an offset on, made in batches that suit the number of rows that is wanted."""
    width = len(table.schema_arrow)
    for batch in _batches(table, offset, min(limit, _PAGE_ROWS, _PAGE_CELLS // max(width, 1))):
        for row in zip(*map(texts, batch.columns[columns]), strict=True):
            yield list(row)


def _batches(table: pq.ParquetFile, offset: int, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows from an offset on. Row groups before it are not read."""
    groups = list(range(table.num_row_groups))
    while groups and offset >= (rows := table.metadata.row_group(groups[0]).num_rows):
        offset -= rows
        groups.pop(0)
    for batch in table.iter_batches(max(batch_rows, 1), row_groups=groups, use_threads=False):
        if offset < batch.num_rows:
            yield batch.slice(offset)
        offset = max(offset - batch.num_rows, 0)


def _rows_of_batch(metadata: pq.FileMetaData) -> int:
    """How many rows make a batch of the wanted size, by the mean size of a row."""
    groups = range(metadata.num_row_groups)
    size: int = sum(metadata.row_group(group).total_byte_size for group in groups)
    rows: int = _BATCH_BYTES * metadata.num_rows // max(size, 1)
    return max(1, min(rows, _BATCH_ROWS))


def _taken(written: io.BytesIO) -> Iterator[bytes]:
    """Empties the buffer, in pieces."""
    data = written.getvalue()
    written.seek(0)
    written.truncate()
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
