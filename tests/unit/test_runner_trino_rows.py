"""How Trino's rows become Arrow."""

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from entrance_runner.engines.trino_rows import arrow_type, record_batches


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bigint", pa.int64()),
        ("varchar(20)", pa.string()),
        ("decimal(10,2)", pa.decimal128(10, 2)),
        ("decimal(38, 0)", pa.decimal128(38, 0)),
        ("timestamp(3)", pa.timestamp("us")),
        ("timestamp(6) with time zone", pa.timestamp("us", "UTC")),
        ("time(3)", pa.time64("us")),
        ("array(bigint)", None),
        ("map(varchar, integer)", None),
        ("json", None),
    ],
)
def test_the_arrow_type_of_a_trino_type(name: str, expected: pa.DataType | None) -> None:
    assert arrow_type(name) == expected


def test_rows_keep_their_values_and_complex_ones_become_json_text() -> None:
    pages: Iterator[list[list[Any]]] = iter(
        [
            [[1, Decimal("1.50"), datetime.date(2026, 1, 2), ["a", None]]],
            [[None, None, None, None]],
            [],
        ]
    )
    columns = [
        ("n", "bigint"),
        ("d", "decimal(5,2)"),
        ("day", "date"),
        ("list", "array(varchar)"),
    ]
    table = record_batches(columns, lambda: next(pages)).read_all()
    assert table.to_pylist() == [
        {"n": 1, "d": Decimal("1.50"), "day": datetime.date(2026, 1, 2), "list": '["a", null]'},
        {"n": None, "d": None, "day": None, "list": None},
    ]


def test_no_rows_are_a_table_with_columns() -> None:
    table = record_batches([("n", "bigint")], lambda: []).read_all()
    assert (table.num_rows, table.column_names) == (0, ["n"])
