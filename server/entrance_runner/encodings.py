"""How a Parquet file holds the columns of a table, chosen by its first rows.

Files are for others to read too, so there is no encoding that Spark 3 or DuckDB can't read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

_FEW_ROWS: Final = 1024  # that are small and read at once in any way
_INTEGER_DIGITS: Final = 18  # of a decimal number that Parquet can keep as an integer


def _is_short_decimal(kind: pa.DataType) -> bool:
    return bool(types.is_decimal(kind) and kind.precision <= _INTEGER_DIGITS)


_BY_TYPE = (
    (types.is_integer, "DELTA_BINARY_PACKED"),
    (types.is_temporal, "DELTA_BINARY_PACKED"),
    (_is_short_decimal, "DELTA_BINARY_PACKED"),
    (types.is_float32, "PLAIN"),
    (types.is_float64, "PLAIN"),
    (types.is_string, "PLAIN"),
    (types.is_large_string, "PLAIN"),
    (types.is_binary, "PLAIN"),
    (types.is_large_binary, "PLAIN"),
)


@dataclass(frozen=True, slots=True)
class Encodings:
    """What `pyarrow.parquet.ParquetWriter` is told.

    Args:
        dictionary: The paths of columns whose values are kept once each; True for all.
        others: How each of the others is kept, by its path.
    """

    dictionary: bool | list[str]
    others: dict[str, str] | None


def for_rows(rows: pa.Table) -> Encodings:
    """The encodings for a table that begins with these rows.

    Where most values stand once, a dictionary is larger than they are, and slow to make and read.
    """
    paths = Counter(_paths(rows.schema) if rows.num_rows >= _FEW_ROWS else ())
    others = {
        field.name: encoding
        for field, column in zip(rows.schema, rows.columns, strict=True)
        # a name of several columns, or that reads as the path to a part of one, means none of them
        if paths[field.name] == 1
        and (encoding := _by_type(field.type)) is not None
        and _stand_once(column)
    }
    if not others:
        return Encodings(dictionary=True, others=None)
    return Encodings([path for path in paths if path not in others], others)


def _paths(schema: pa.Schema) -> list[str]:
    """The path of each column of the file, which are several for one of nested values."""
    empty = pa.BufferOutputStream()
    pq.ParquetWriter(empty, schema).close()
    columns = pq.ParquetFile(empty.getvalue()).schema
    return [columns.column(number).path for number in range(len(columns))]


def _by_type(kind: pa.DataType) -> str | None:
    return next((encoding for holds, encoding in _BY_TYPE if holds(kind)), None)


def _stand_once(column: pa.ChunkedArray) -> bool:
    distinct: int = pc.count_distinct(column, mode="only_valid").as_py()
    present: int = len(column) - column.null_count
    return 2 * distinct > present
