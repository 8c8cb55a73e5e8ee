"""Arrow types by the SQL names that callers are told."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
from pyarrow import types

_NAMES: dict[pa.DataType, str] = {
    pa.null(): "string",
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.uint8(): "smallint",
    pa.uint16(): "int",
    pa.uint32(): "bigint",
    pa.uint64(): "decimal(20,0)",
    pa.float16(): "float",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.string_view(): "string",
    pa.uuid(): "string",
    pa.bool8(): "boolean",
}

_FAMILIES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (types.is_date, "date"),
    (types.is_timestamp, "timestamp"),
    (types.is_time, "time"),
    (types.is_duration, "interval"),
    (types.is_interval, "interval"),
    (types.is_map, "map"),
    (types.is_struct, "struct"),
    (types.is_nested, "array"),  # the lists are what is left
)


def sql_type(kind: pa.DataType) -> str:
    """The lower-case SQL name of a type."""
    if name := _NAMES.get(kind):
        return name
    if types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return sql_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return sql_type(kind.storage_type)
    return next((name for belongs, name in _FAMILIES if belongs(kind)), "binary")
