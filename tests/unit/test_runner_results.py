"""Result files and the SQL names of their columns' types."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from entrance_runner import tables
from entrance_runner.results import Column, ResultDirectory, ResultFile, ResultKind


@pytest.mark.parametrize(
    ("arrow", "sql"),
    [
        (pa.int8(), "tinyint"),
        (pa.int16(), "smallint"),
        (pa.int32(), "int"),
        (pa.int64(), "bigint"),
        (pa.uint8(), "smallint"),
        (pa.uint64(), "decimal(20,0)"),
        (pa.float32(), "float"),
        (pa.float64(), "double"),
        (pa.decimal128(10, 2), "decimal(10,2)"),
        (pa.decimal256(50, 5), "decimal(50,5)"),
        (pa.bool_(), "boolean"),
        (pa.string(), "string"),
        (pa.large_string(), "string"),
        (pa.string_view(), "string"),
        (pa.null(), "string"),
        (pa.dictionary(pa.int8(), pa.string()), "string"),
        (pa.date32(), "date"),
        (pa.timestamp("us", "UTC"), "timestamp"),
        (pa.time64("us"), "time"),
        (pa.duration("s"), "interval"),
        (pa.month_day_nano_interval(), "interval"),
        (pa.binary(), "binary"),
        (pa.binary(16), "binary"),
        (pa.list_(pa.int8()), "array"),
        (pa.list_(pa.int8(), 2), "array"),
        (pa.map_(pa.string(), pa.int8()), "map"),
        (pa.struct({"a": pa.int8()}), "struct"),
    ],
    ids=str,
)
def test_each_arrow_type_has_a_sql_name(arrow: pa.DataType, sql: str) -> None:
    assert tables.sql_type(arrow) == sql


def test_a_table_is_written_with_its_columns(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2, None], "t": ["a", "b", "c"]})
    result = ResultDirectory(tmp_path).add_table(table.to_reader(), statement=4)
    assert result == ResultFile(
        index=0,
        kind=ResultKind.TABLE,
        media_type="application/vnd.apache.arrow.stream",
        file_name="0.parquet",
        size_bytes=(tmp_path / "0.parquet").stat().st_size,
        row_count=3,
        columns=(Column("n", "bigint"), Column("t", "string")),
        statement=4,
    )
    assert pq.read_table(tmp_path / "0.parquet") == table


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    result = ResultDirectory(tmp_path).add_table(pa.table({"a": pa.array([], "int32")}).to_reader())
    assert (result.row_count, result.columns) == (0, (Column("a", "int"),))
    assert pq.read_table(tmp_path / "0.parquet").column_names == ["a"]


def test_types_that_parquet_does_not_have_are_written_as_text(tmp_path: Path) -> None:
    interval = pa.array(
        [pa.MonthDayNano([14, 3, -1_500_000_000]), None, pa.MonthDayNano([0, 0, 2_000_000_000])]
    )
    result = ResultDirectory(tmp_path).add_table(pa.table({"i": interval}).to_reader())
    assert result.columns == (Column("i", "interval"),)
    assert pq.read_table(tmp_path / "0.parquet")["i"].to_pylist() == [
        "P14M3DT-1.5S",
        None,
        "P0M0DT2S",
    ]


def test_two_columns_may_have_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], names=["a", "a"])
    result = ResultDirectory(tmp_path).add_table(table.to_reader())
    assert result.columns == (Column("a", "bigint"), Column("a", "string"))


def test_results_are_numbered_without_gaps_even_when_one_fails(tmp_path: Path) -> None:
    def broken() -> object:
        yield pa.record_batch({"a": [1]})
        raise ValueError("no more")

    directory = ResultDirectory(tmp_path)
    directory.add_content("image/png", b"png")
    with pytest.raises(ValueError, match="no more"):
        directory.add_table(
            pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), broken())
        )
    text = directory.add_content("text/plain", "grün".encode())
    assert (text.index, text.file_name, text.size_bytes) == (1, "1.txt", 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.txt"]


def test_a_result_is_the_same_after_a_way_through_json(tmp_path: Path) -> None:
    table = pa.table({"d": [datetime.date(2024, 1, 1)]})
    result = ResultDirectory(tmp_path).add_table(table.to_reader())
    assert ResultFile.from_json(result.to_json()) == result


@pytest.mark.parametrize("name", ["../0.parquet", "/etc/passwd", "0.parquet/x", ".0.parquet"])
def test_a_result_outside_its_directory_is_refused(name: str, tmp_path: Path) -> None:
    result = ResultDirectory(tmp_path).add_content("text/plain", b"")
    with pytest.raises(ValueError, match="file_name"):
        ResultFile.from_json({**result.to_json(), "file_name": name})
