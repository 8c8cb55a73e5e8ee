"""Tables: the SQL names of Arrow's types, and Parquet files written batch by batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from entrance_runner import encodings
from entrance_runner.results import Column

ROW_GROUP_ROWS = 128 * 1024
ROW_GROUP_BYTES = 32 * 1024 * 1024  # in memory

_SQL_NAMES = (
    (types.is_boolean, "boolean"),
    (types.is_int8, "tinyint"),
    (types.is_int16, "smallint"),
    (types.is_int32, "int"),
    (types.is_int64, "bigint"),
    # the next wider one, as SQL has no unsigned integers
    (types.is_uint8, "smallint"),
    (types.is_uint16, "int"),
    (types.is_uint32, "bigint"),
    (types.is_uint64, "decimal(20,0)"),
    (types.is_float16, "float"),
    (types.is_float32, "float"),
    (types.is_float64, "double"),
    (types.is_date, "date"),
    (types.is_timestamp, "timestamp"),
    (types.is_time, "time"),
    (types.is_duration, "interval"),
    (types.is_interval, "interval"),
    (types.is_binary, "binary"),
    (types.is_large_binary, "binary"),
    (types.is_binary_view, "binary"),
    (types.is_fixed_size_binary, "binary"),
    (types.is_map, "map"),
    (types.is_struct, "struct"),
    (types.is_list, "array"),
    (types.is_large_list, "array"),
    (types.is_list_view, "array"),
    (types.is_large_list_view, "array"),
    (types.is_fixed_size_list, "array"),
)


def sql_type(arrow_type: pa.DataType) -> str:
    """The lower-case SQL name of an Arrow type; `string` for whatever has no other."""
    if types.is_decimal(arrow_type):
        return f"decimal({arrow_type.precision},{arrow_type.scale})"
    if types.is_dictionary(arrow_type) or types.is_run_end_encoded(arrow_type):
        return sql_type(arrow_type.value_type)
    if isinstance(arrow_type, pa.BaseExtensionType):
        return sql_type(arrow_type.storage_type)
    return next((name for holds, name in _SQL_NAMES if holds(arrow_type)), "string")


def write(rows: pa.RecordBatchReader, path: Path) -> tuple[int, tuple[Column, ...]]:
    """Writes rows into a Parquet file as they come, so that memory holds one row group at most.

    A column of a type that Parquet has no place for is written as text.

    Returns:
        The number of rows, and the columns.
    """
    as_text = [not _fits_parquet(field) for field in rows.schema]
    schema = pa.schema(
        [
            pa.field(f.name, pa.string()) if t else f
            for f, t in zip(rows.schema, as_text, strict=True)
        ]
    )
    count = 0
    groups = _row_groups(rows, schema, as_text)
    first = list(itertools.islice(groups, 1))
    with _writer(path, first[0] if first else schema.empty_table()) as writer:
        for group in itertools.chain(first, groups):
            writer.write_table(group)
            count += group.num_rows
    return count, tuple(Column(field.name, sql_type(field.type)) for field in rows.schema)


def _writer(path: Path, first: pa.Table) -> pq.ParquetWriter:
    """A writer for a table that begins with these rows."""
    chosen = encodings.for_rows(first)
    return pq.ParquetWriter(
        path,
        first.schema,
        compression="zstd",
        store_decimal_as_integer=True,
        use_dictionary=chosen.dictionary,
        column_encoding=chosen.others,
    )


def _row_groups(
    rows: pa.RecordBatchReader, schema: pa.Schema, as_text: Sequence[bool]
) -> Iterator[pa.Table]:
    group = _RowGroup(schema)
    for batch in rows:
        columns = [_to_text(c) if t else c for c, t in zip(batch.columns, as_text, strict=True)]
        group.add(pa.RecordBatch.from_arrays(columns, schema=schema))
        if group.is_full:
            yield group.take()
    if not group.is_empty:
        yield group.take()


class _RowGroup:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    @property
    def is_empty(self) -> bool:
        return self._rows == 0

    @property
    def is_full(self) -> bool:
        return self._rows >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES

    def add(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes

    def take(self) -> pa.Table:
        table = pa.Table.from_batches(self._batches, self._schema)
        self._batches, self._rows, self._bytes = [], 0, 0
        return table


def _fits_parquet(field: pa.Field) -> bool:
    try:
        pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return False
    return True


def _to_text(column: pa.Array) -> pa.Array:
    return pa.array(
        [None if value is None else _text(value) for value in column.to_pylist()], pa.string()
    )


def _text(value: Any) -> str:
    if isinstance(value, pa.MonthDayNano):
        seconds, nanoseconds = divmod(abs(value.nanoseconds), 1_000_000_000)
        sign = "-" if value.nanoseconds < 0 else ""
        fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
        return f"P{value.months}M{value.days}DT{sign}{seconds}{fraction}S"  # ISO 8601
    return str(value)
