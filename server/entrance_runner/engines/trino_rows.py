"""Trino's rows as Arrow: by its type names, and as JSON text where SQL has no plain value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

_TYPES: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double": pa.float64(),
    "varchar": pa.string(),
    "char": pa.string(),
    "varbinary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
}
_NAME = re.compile(r"([a-z ]+?) ?(?:\(([0-9]+)(?:, ?([0-9]+))?\))?( with time zone)?")


def arrow_type(name: str) -> pa.DataType | None:
    """The Arrow type of a Trino type; None for one whose values become JSON text.

    A timestamp keeps microseconds, as Trino's client gives no more.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    base, first, second, zone = found.groups()
    if base == "decimal" and first:
        return pa.decimal128(int(first), int(second or 0))
    return _TYPES.get(base + (zone or ""))


def record_batches(
    columns: Sequence[tuple[str, str]], fetch: Callable[[], Sequence[Sequence[Any]]]
) -> pa.RecordBatchReader:
    """Rows as they come.

    Args:
        columns: Names and Trino types.
        fetch: Gives the next rows, none at the end.
    """
    types = [arrow_type(type_) for _, type_ in columns]
    names = [name for name, _ in columns]
    schema = pa.schema(
        [pa.field(name, type_ or pa.string()) for name, type_ in zip(names, types, strict=True)]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        while rows := fetch():
            values = zip(*rows, strict=True)
            arrays = [_array(one, type_) for one, type_ in zip(values, types, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _array(values: Sequence[Any], type_: pa.DataType | None) -> pa.Array:
    if type_ is not None:
        return pa.array(values, type_)
    return pa.array([None if one is None else _text(one) for one in values], pa.string())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
