"""Cells of Arrow columns as text, by the rule that callers are told.

NULL is None, booleans are `true` and `false`, dates and times ISO 8601 (with a zone: in UTC, ended
by `Z`), durations and intervals ISO 8601, decimals plain digits, binary lower-case hex, and lists,
maps and structs JSON. Within JSON, what JSON has no word for is text by the same rule.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

Texts = list[str | None]
TypeTest = Callable[[pa.DataType], bool]

UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # in a second


def texts(array: pa.Array) -> Texts:
    """The cells of a column as text."""
    array = plain(array)
    for holds, convert in _CONVERTERS:
        if holds(array.type):
            return convert(array)
    return _each(str, array)


def plain(array: pa.Array) -> pa.Array:
    """The same values without an encoding or an extension type around them."""
    kind = array.type
    if types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array))
    if isinstance(kind, pa.Bool8Type):
        return pc.cast(array.storage, pa.bool_())
    if isinstance(kind, pa.UuidType):
        return pa.array(_each(str, array), pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        return plain(array.storage)
    return array


def _each(convert: Callable[[Any], str], array: pa.Array) -> Texts:
    return [None if value is None else convert(value) for value in array.to_pylist()]


def _cast(array: pa.Array) -> Texts:
    return pc.cast(array, pa.string()).to_pylist()  # type: ignore[no-any-return]


def _strings(array: pa.Array) -> Texts:
    """A file may hold bytes that are not UTF-8, whatever its schema says."""
    return _each(lambda value: value.decode(errors="replace"), pc.cast(array, pa.large_binary()))


def _floats(array: pa.Array) -> Texts:
    """Whole numbers keep their `.0`, so that they read as what they are."""
    written = pc.cast(array, pa.string())
    return pc.replace_substring_regex(written, r"^(-?\d+)$", r"\1.0").to_pylist()  # type: ignore[no-any-return]


def _decimal(value: Decimal) -> str:
    return format(value, "f")


def _times(array: pa.Array) -> Texts:
    """A fraction of zeros is left out."""
    written = pc.cast(array, pa.string())
    return pc.replace_substring_regex(written, r"\.0+$", "").to_pylist()  # type: ignore[no-any-return]


def _timestamps(array: pa.Array) -> Texts:
    zone = "Z" if array.type.tz else ""
    local = pc.cast(array, pa.timestamp(array.type.unit, "UTC")) if zone else array
    written = _times(pc.cast(local, pa.timestamp(array.type.unit)))
    return [text and text.replace(" ", "T") + zone for text in written]


def _durations(array: pa.Array) -> Texts:
    unit = UNITS[array.type.unit]
    return _each(lambda ticks: _period(0, 0, ticks, unit), pc.cast(array, pa.int64()))


def _intervals(array: pa.Array) -> Texts:
    return _each(
        lambda value: _period(value.months, value.days, value.nanoseconds, UNITS["ns"]), array
    )


def _period(months: int, days: int, ticks: int, unit: int) -> str:
    """An ISO 8601 duration; every part has a sign of its own."""
    date = (f"{months}M" if months else "") + (f"{days}D" if days else "")
    if not ticks and date:
        return f"P{date}"
    whole, rest = divmod(abs(ticks), unit)
    fraction = f".{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"P{date}T{'-' if ticks < 0 else ''}{whole}{fraction}S"


def _nested(array: pa.Array) -> Texts:
    return [
        json.dumps(_json_value(scalar), ensure_ascii=False, separators=(",", ":"))
        if scalar.is_valid
        else None
        for scalar in array
    ]


def _json_value(scalar: pa.Scalar) -> object:
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if types.is_map(kind):
        return {
            texts(pa.repeat(entry["key"], 1))[0]: _json_value(entry["value"])
            for entry in scalar.values
        }
    if _is_list(kind):
        return [_json_value(item) for item in scalar.values]
    if types.is_struct(kind):
        return {kind.field(i).name: _json_value(scalar[i]) for i in range(kind.num_fields)}
    if types.is_boolean(kind) or types.is_integer(kind):
        return scalar.as_py()
    if types.is_floating(kind) and math.isfinite(scalar.as_py()):
        return scalar.as_py()
    return texts(pa.repeat(scalar, 1))[0]


def _any_of(*tests: TypeTest) -> TypeTest:
    return lambda kind: any(test(kind) for test in tests)


_is_list = _any_of(
    types.is_list,
    types.is_large_list,
    types.is_fixed_size_list,
    types.is_list_view,
    types.is_large_list_view,
)
_is_string = _any_of(types.is_string, types.is_large_string, types.is_string_view)
_is_binary = _any_of(
    types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view
)

_CONVERTERS: tuple[tuple[TypeTest, Callable[[pa.Array], Texts]], ...] = (
    (_is_string, _strings),
    (types.is_null, _cast),
    (types.is_integer, _cast),
    (types.is_boolean, _cast),
    (types.is_date, _cast),
    (types.is_floating, _floats),
    (types.is_decimal, lambda array: _each(_decimal, array)),
    (types.is_timestamp, _timestamps),
    (types.is_time, _times),
    (types.is_duration, _durations),
    (types.is_interval, _intervals),
    (_is_binary, lambda array: _each(bytes.hex, array)),
    (types.is_nested, _nested),
)
