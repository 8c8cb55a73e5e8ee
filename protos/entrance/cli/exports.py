"""A table in the formats of `entrance result`."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from entrance.client import Column, Result, Row

if TYPE_CHECKING:
    import pyarrow

_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_FLOATS = ("float", "double", "decimal")
_JSON_ALREADY = (*_INTEGERS, "boolean", "array", "map", "struct")


class Format(StrEnum):
    """How a table is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    ARROW = "arrow"

    @property
    def is_binary(self) -> bool:
        """Whether it is no text."""
        return self in (Format.PARQUET, Format.ARROW)


def text_lines(result: Result, format: Format, limit: int | None) -> Iterator[str]:
    """The lines of a table as CSV, NULL being an empty cell, or as an object for each row."""
    columns = result.info.columns
    rows = itertools.islice(result.rows(), limit)
    if format is Format.JSON:
        writers = [_json_writer(column) for column in columns]
        names = [json.dumps(column.name) for column in columns]
        return (_json_object(names, writers, row) for row in rows)
    header = [column.name for column in columns]
    return (",".join(_csv_cell(cell) for cell in row) for row in itertools.chain([header], rows))


def write_binary(result: Result, format: Format, limit: int | None, file: BinaryIO) -> None:
    """Writes a table as Parquet or as an Arrow IPC stream, batch by batch."""
    import pyarrow
    from pyarrow import parquet

    reader = result.reader()
    make = parquet.ParquetWriter if format is Format.PARQUET else pyarrow.ipc.new_stream
    with make(file, reader.schema) as writer:
        for batch in _first_rows(reader, limit):
            writer.write_batch(batch)


def _first_rows(
    batches: Iterable[pyarrow.RecordBatch], limit: int | None
) -> Iterator[pyarrow.RecordBatch]:
    left = math.inf if limit is None else limit
    for batch in batches:
        if left <= 0:
            return
        yield batch.slice(0, int(min(left, batch.num_rows)))
        left -= batch.num_rows


def _csv_cell(text: str | None) -> str:
    """A cell by RFC 4180. An empty text is quoted, so that it differs from NULL."""
    if text is None:
        return ""
    if text == "" or any(character in text for character in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _json_object(names: Sequence[str], writers: Sequence[Callable[[str], str]], row: Row) -> str:
    members = (
        f"{name}: {'null' if cell is None else write(cell)}"
        for name, write, cell in zip(names, writers, row, strict=True)
    )
    return "{" + ", ".join(members) + "}"


def _json_writer(column: Column) -> Callable[[str], str]:
    """What makes JSON of a cell's text; numbers keep all their digits."""
    base = _base(column)
    if base in _FLOATS:
        return lambda text: text if math.isfinite(float(text)) else "null"
    return str if base in _JSON_ALREADY else json.dumps


def _base(column: Column) -> str:
    return column.data_type.partition("(")[0]
