"""How result files hold their columns: small and quick to read, and always what was put in."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from entrance_runner import tables

ROWS = tables.ROW_GROUP_ROWS + 50_000  # two row groups, in batches that do not fit into one
RANDOM = random.Random(7)
BITS = [RANDOM.getrandbits(63) for _ in range(ROWS)]
DAY = datetime.date(1970, 1, 1)

INTEGERS = {
    "grow": pa.array(range(ROWS)),
    "any": pa.array(BITS),
    "negative": pa.array([-bits for bits in BITS]),
    "extremes": pa.array([-(2**63), 2**63 - 1] + [bits - 2**62 for bits in BITS[2:]]),
    "unsigned": pa.array([2 * bits + 1 for bits in BITS], pa.uint64()),
    "short": pa.array([bits % 2**31 for bits in BITS], pa.int32()),
    "absent": pa.array([None if bits % 3 else bits for bits in BITS]),
    "time": pa.array(BITS, pa.timestamp("ns", "UTC")),
    "day": pa.array([bits % 2**22 for bits in BITS], pa.int32()).cast(pa.date32()),
    "moment": pa.array([bits % 86_400_000_000 for bits in BITS], pa.time64("us")),
    "duration": pa.array(BITS, pa.duration("us")),
    "money": pa.array([Decimal(bits % 10**12) / 100 for bits in BITS], pa.decimal128(18, 2)),
}
OTHERS = {
    "double": pa.array([bits / 7 for bits in BITS]),
    "float": pa.array([bits / 7 for bits in BITS], pa.float32()),
    "text": pa.array([f"é{bits}" for bits in BITS]),
    "large text": pa.array([f"é{bits}" for bits in BITS], pa.large_string()),
    "binary": pa.array([bits.to_bytes(8, "big") for bits in BITS]),
}


def written(directory: Path, table: pa.Table) -> pq.ParquetFile:
    """A table's file, written in batches."""
    path = directory / "0.parquet"
    count, _ = tables.write(table.to_reader(max_chunksize=50_000), path)
    assert count == table.num_rows
    return pq.ParquetFile(path)


def encodings(file: pq.ParquetFile, column: int = 0) -> set[str]:
    return set(file.metadata.row_group(0).column(column).encodings)


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_that_stand_once_are_kept_as_differences(name: str, tmp_path: Path) -> None:
    table = pa.table({"c": INTEGERS[name]})
    with written(tmp_path, table) as file:
        assert file.num_row_groups == 2
        assert "DELTA_BINARY_PACKED" in encodings(file)
        assert file.read().equals(table)


@pytest.mark.parametrize("name", OTHERS)
def test_other_values_that_stand_once_have_no_dictionary(name: str, tmp_path: Path) -> None:
    table = pa.table({"c": OTHERS[name]})
    with written(tmp_path, table) as file:
        assert "RLE_DICTIONARY" not in encodings(file)
        assert file.read().equals(table)


def test_numbers_that_grow_take_almost_no_room(tmp_path: Path) -> None:
    written(tmp_path, pa.table({"c": INTEGERS["grow"]})).close()
    assert (tmp_path / "0.parquet").stat().st_size < ROWS * 8 / 100


@pytest.mark.parametrize(
    "values",
    [
        pa.array([bits % 100 for bits in BITS]),
        pa.array([f"kind {bits % 100}" for bits in BITS]),
        pa.array([Decimal(bits % 100) for bits in BITS], pa.decimal128(5, 0)),
        pa.array([None] * ROWS, pa.int64()),
    ],
    ids=["integers", "text", "decimals", "nothing"],
)
def test_values_that_repeat_are_kept_once_each(values: pa.Array, tmp_path: Path) -> None:
    table = pa.table({"c": values, "grow": INTEGERS["grow"]})
    with written(tmp_path, table) as file:
        assert "RLE_DICTIONARY" in encodings(file)
        assert "RLE_DICTIONARY" not in encodings(file, 1)
        assert file.read().equals(table)


def test_rows_unlike_the_first_ones_are_kept_all_the_same(tmp_path: Path) -> None:
    repeated = pa.array([bits % 3 for bits in BITS])
    for first, then in ((repeated, INTEGERS["any"]), (INTEGERS["any"], repeated)):
        table = pa.table({"c": pa.chunked_array([first, then])})
        with written(tmp_path, table) as file:
            assert file.read().equals(table)


@pytest.mark.parametrize(
    "columns",
    [
        {"a.b": INTEGERS["grow"], "a": pa.array([{"b": str(n)} for n in range(ROWS)])},
        {"l": pa.array([[n] for n in range(ROWS)]), "l.list": INTEGERS["any"]},
        {"": INTEGERS["grow"], ".": INTEGERS["any"]},
        {"kind": pa.array([str(n % 9) for n in range(ROWS)]).dictionary_encode()},
    ],
    ids=["part", "list", "no name", "dictionary"],
)
def test_columns_are_told_apart_by_more_than_their_names(
    columns: dict[str, Any], tmp_path: Path
) -> None:
    table = pa.table(columns)
    with written(tmp_path, table) as file:
        assert file.read().to_pydict() == table.to_pydict()


def test_columns_of_one_name_are_kept_with_dictionaries(tmp_path: Path) -> None:
    twins = pa.Table.from_arrays([INTEGERS["grow"], OTHERS["text"]], names=["a", "a"])
    with written(tmp_path, twins) as file:
        assert file.read().equals(twins)
