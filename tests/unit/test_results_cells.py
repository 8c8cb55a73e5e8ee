"""Cells of every Arrow type as text."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.results.cells import texts

UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5)
BERLIN = dt.timezone(dt.timedelta(hours=1))


def extension(kind: pa.DataType, storage: pa.Array) -> pa.Array:
    return pa.ExtensionArray.from_storage(kind, storage)


COLUMNS: dict[str, tuple[pa.Array, list[str | None]]] = {
    "null": (pa.nulls(1), [None]),
    "bool": (pa.array([True, False, None]), ["true", "false", None]),
    "int8": (pa.array([-128, None], pa.int8()), ["-128", None]),
    "int16": (pa.array([-(2**15)], pa.int16()), ["-32768"]),
    "int32": (pa.array([2**31 - 1], pa.int32()), ["2147483647"]),
    "int64": (pa.array([-(2**63)], pa.int64()), ["-9223372036854775808"]),
    "uint8": (pa.array([255], pa.uint8()), ["255"]),
    "uint16": (pa.array([65535], pa.uint16()), ["65535"]),
    "uint32": (pa.array([2**32 - 1], pa.uint32()), ["4294967295"]),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    "float16": (pa.array([1.5, None], pa.float16()), ["1.5", None]),
    "float32": (pa.array([0.1, 2.0], pa.float32()), ["0.1", "2.0"]),
    "float64": (
        pa.array([0.1, -3.0, 1e300, float("nan"), float("-inf"), None]),
        ["0.1", "-3.0", "1e+300", "nan", "-inf", None],
    ),
    "decimal32": (pa.array([Decimal("1.50")], pa.decimal32(5, 2)), ["1.50"]),
    "decimal64": (pa.array([Decimal("-1.50")], pa.decimal64(15, 2)), ["-1.50"]),
    "decimal128": (
        pa.array([Decimal("0.0000001"), Decimal(10**12), None], pa.decimal128(30, 7)),
        ["0.0000001", "1000000000000.0000000", None],
    ),
    "decimal256": (pa.array([Decimal(10**50)], pa.decimal256(60, 0)), ["1" + "0" * 50]),
    "string": (pa.array(["a\n\u2028ü", "", None]), ["a\n\u2028ü", "", None]),
    "large_string": (pa.array(["a", None], pa.large_string()), ["a", None]),
    "string_view": (pa.array(["a", None], pa.string_view()), ["a", None]),
    "binary": (pa.array([b"\x00\xfe", b"", None]), ["00fe", "", None]),
    "large_binary": (pa.array([b"\xff"], pa.large_binary()), ["ff"]),
    "binary_view": (pa.array([b"\xff"], pa.binary_view()), ["ff"]),
    "fixed_size_binary": (pa.array([b"\x01\x02"], pa.binary(2)), ["0102"]),
    "date32": (pa.array([dt.date(2026, 1, 2), None]), ["2026-01-02", None]),
    "date64": (pa.array([dt.date(1, 1, 1)], pa.date64()), ["0001-01-01"]),
    "timestamp[s]": (pa.array([MOMENT], pa.timestamp("s")), ["2026-01-02T03:04:05"]),
    "timestamp[ms]": (pa.array([MOMENT, None], pa.timestamp("ms")), ["2026-01-02T03:04:05", None]),
    "timestamp[us]": (
        pa.array([MOMENT.replace(microsecond=70), dt.datetime(1, 1, 1)], pa.timestamp("us")),
        ["2026-01-02T03:04:05.000070", "0001-01-01T00:00:00"],
    ),
    "timestamp[ns]": (pa.array([1], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001"]),
    "timestamp[us, tz]": (
        pa.array([MOMENT.replace(tzinfo=BERLIN), None], pa.timestamp("us", "Europe/Berlin")),
        ["2026-01-02T02:04:05Z", None],
    ),
    "time32[s]": (pa.array([dt.time(3, 4, 5)], pa.time32("s")), ["03:04:05"]),
    "time32[ms]": (pa.array([dt.time(3, 4, 5, 6000)], pa.time32("ms")), ["03:04:05.006"]),
    "time64[us]": (pa.array([dt.time(3), None], pa.time64("us")), ["03:00:00", None]),
    "time64[ns]": (pa.array([1], pa.time64("ns")), ["00:00:00.000000001"]),
    "duration[s]": (pa.array([90061], pa.duration("s")), ["PT90061S"]),
    "duration[ms]": (pa.array([-1500, None], pa.duration("ms")), ["PT-1.5S", None]),
    "duration[ns]": (pa.array([1, 0], pa.duration("ns")), ["PT0.000000001S", "PT0S"]),
    "interval": (
        pa.array([(14, -3, 1_500_000_000), (1, 0, 0), None], pa.month_day_nano_interval()),
        ["P14M-3DT1.5S", "P1M", None],
    ),
    "dictionary": (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
    "run_end_encoded": (pc.run_end_encode(pa.array([7, 7, 8])), ["7", "7", "8"]),
    "uuid": (extension(pa.uuid(), pa.array([UUID.bytes], pa.binary(16))), [str(UUID)]),
    "bool8": (extension(pa.bool8(), pa.array([1, 0, None], pa.int8())), ["true", "false", None]),
    "json": (extension(pa.json_(), pa.array(['{"a":1}'])), ['{"a":1}']),
    "list": (pa.array([[1, None], [], None]), ["[1,null]", "[]", None]),
    "large_list": (pa.array([["ü"]], pa.large_list(pa.string())), ['["ü"]']),
    "list_view": (pa.array([[True]], pa.list_view(pa.bool_())), ["[true]"]),
    "large_list_view": (pa.array([[1]], pa.large_list_view(pa.int8())), ["[1]"]),
    "fixed_size_list": (pa.array([[1, 2]], pa.list_(pa.int64(), 2)), ["[1,2]"]),
    "struct": (pa.array([{"a": 1.5, "b": {"c": None}}, None]), ['{"a":1.5,"b":{"c":null}}', None]),
    "map": (
        pa.array([[(1, "x"), (2, None)], []], pa.map_(pa.int64(), pa.string())),
        ['{"1":"x","2":null}', "{}"],
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_type_has_a_text(kind: str) -> None:
    array, expected = COLUMNS[kind]
    assert texts(array) == expected


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (Decimal("0.0000001"), pa.decimal128(10, 7), '["0.0000001"]'),
        (float("nan"), pa.float64(), '["nan"]'),
        (dt.date(2026, 1, 2), pa.date32(), '["2026-01-02"]'),
        (MOMENT, pa.timestamp("ns"), '["2026-01-02T03:04:05"]'),
        (b"\xff", pa.binary(), '["ff"]'),
        (dt.timedelta(seconds=1), pa.duration("us"), '["PT1S"]'),
        ([[1]], pa.list_(pa.list_(pa.int64())), "[[[1]]]"),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_what_json_has_no_word_for_is_text_by_the_same_rule(
    value: Any, kind: pa.DataType, expected: str
) -> None:
    assert texts(pa.array([[value]], pa.list_(kind))) == [expected]


def test_a_part_of_a_column_gives_its_own_cells() -> None:
    array = pa.array([[0], [1], [2]]).slice(1, 1)
    assert texts(array) == ["[1]"]


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    wrong = pa.array([b"a\xffb", None]).view(pa.string())
    assert texts(wrong) == ["a�b", None]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_read_back(values: list[int | None]) -> None:
    cells = texts(pa.array(values, pa.int64()))
    assert [None if cell is None else int(cell) for cell in cells] == values


@given(st.lists(st.floats(allow_nan=False)))
def test_floats_are_read_back(values: list[float]) -> None:
    cells = texts(pa.array(values, pa.float64()))
    assert [float(cell) for cell in cells if cell is not None] == values


@given(st.lists(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))))
def test_timestamps_are_read_back(values: list[dt.datetime]) -> None:
    cells = texts(pa.array(values, pa.timestamp("us")))
    assert [dt.datetime.fromisoformat(cell) for cell in cells if cell is not None] == values


@given(st.lists(st.lists(st.none() | st.booleans())))
def test_lists_are_json(values: list[list[bool | None]]) -> None:
    cells = texts(pa.array(values, pa.list_(pa.bool_())))
    assert [json.loads(cell) for cell in cells if cell is not None] == values
