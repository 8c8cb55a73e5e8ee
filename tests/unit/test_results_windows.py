"""Rows and columns of a result table by their places, all of them or none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrance_server.domain.job import ResultSet, ResultType
from entrance_server.results import PageTooLarge, ResultFiles, ResultUnavailable, tables
from entrance_server.results.cells import texts
from entrance_server.results.tables import TableFile, batches
from entrance_server.results.window import Window

JOB = 1234
ROWS = 3_000
TABLE = pa.table(
    {
        "n": range(ROWS),
        "text": [None if n % 3 == 0 else f"row {n}" for n in range(ROWS)],
        "half": [n / 2 for n in range(ROWS)],
    }
)
CELLS = [[str(n), None if n % 3 == 0 else f"row {n}", str(n / 2)] for n in range(ROWS)]
RESULT = ResultSet(0, ResultType.TABLE, "application/x", "1-0.parquet", row_count=ROWS)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    pq.write_table(TABLE, ResultFiles(root).directory(JOB) / RESULT.file_name, row_group_size=700)
    return root


@pytest.fixture
async def files(root: Path) -> AsyncIterator[ResultFiles]:
    async with ResultFiles(root) as opened:
        yield opened


async def read(
    files: ResultFiles,
    rows: range,
    columns: slice = slice(None),
    *,
    max_bytes: int = 10**6,
    max_cell: int | None = None,
) -> list[list[str | None]]:
    return await files.read_window(JOB, RESULT, Window(rows, columns, max_bytes, max_cell))


@settings(max_examples=30)
@given(
    start=st.integers(0, ROWS + 10),
    length=st.integers(1, ROWS + 10),
    first=st.integers(0, 4),
    width=st.integers(0, 4),
)
def test_a_window_is_what_stands_there(
    root: Path, start: int, length: int, first: int, width: int
) -> None:
    path = asyncio.run(ResultFiles(root).located(JOB, RESULT))
    found = TableFile(path).window(
        Window(range(start, start + length), slice(first, first + width), 10**6, None)
    )
    expected = [row[first : first + width] for row in CELLS[start : start + length]]
    assert found == ([] if not any(expected) else expected)


async def test_a_window_far_past_the_end_is_empty(files: ResultFiles) -> None:
    assert await read(files, range(2**43, 2**43 + 10)) == []


async def test_a_window_is_whole_or_too_large(files: ResultFiles) -> None:
    rows = range(10)
    size = sum(len(cell or "") + 8 for row in CELLS[:10] for cell in row)
    assert await read(files, rows, max_bytes=size) == CELLS[:10]
    with pytest.raises(PageTooLarge):
        await read(files, rows, max_bytes=size - 1)


async def test_text_counts_as_the_bytes_that_are_sent(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"c": ["ä€😀"]}), path)
    table = TableFile(path)
    assert table.window(Window(range(1), slice(None), 9 + 8, 3)) == [["ä€😀"]]
    with pytest.raises(PageTooLarge):
        table.window(Window(range(1), slice(None), 9 + 7, 3))


async def test_a_null_counts_as_what_stands_for_it(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"c": pa.array([None] * 10, pa.string())}), path)
    table = TableFile(path)
    enough = Window(range(10), slice(None), 10 * (8 + 5), None, null_bytes=5)
    assert len(table.window(enough)) == 10
    with pytest.raises(PageTooLarge):
        table.window(replace(enough, max_bytes=10 * (8 + 5) - 1))


def test_a_row_may_have_more_cells_than_are_made_into_text_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_TEXT_CELLS", 2)
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"a": [1, 2], "b": [3, 4], "c": [5, 6]}), path)
    assert TableFile(path).page(0, 100, 100) == [["1", "3", "5"], ["2", "4", "6"]]


def test_columns_of_nothing_are_read_in_parts_that_memory_has_room_for(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({f"c{number}": pa.nulls(10_000) for number in range(1_000)}), path)
    found = list(batches(pq.ParquetFile(path), None))
    assert sum(batch.num_rows for batch in found) == 10_000
    assert max(batch.num_rows for batch in found) <= 200


async def test_a_cell_may_be_too_large(files: ResultFiles) -> None:
    rows = range(998, 1000)  # the second one has no text
    assert await read(files, rows, max_cell=len("row 998")) == CELLS[998:1000]
    with pytest.raises(PageTooLarge):
        await read(files, rows, max_cell=len("row 998") - 1)


async def test_a_result_is_as_old_as_its_file(files: ResultFiles) -> None:
    os.utime((await files.located(JOB, RESULT)), (1_700_000_000.5, 1_700_000_000.5))
    (time,) = await files.modify_times(JOB, [RESULT])
    assert time.timestamp() == 1_700_000_000.5


async def test_a_file_is_sent_as_it_is(files: ResultFiles) -> None:
    sent = b"".join([piece async for piece in files.stream_file(JOB, RESULT)])
    assert sent == (await files.located(JOB, RESULT)).read_bytes()
    assert pq.read_table(pa.BufferReader(sent)) == TABLE


async def test_a_file_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    async with ResultFiles(tmp_path) as empty:
        with pytest.raises(ResultUnavailable):
            await read(empty, range(1))
        with pytest.raises(ResultUnavailable):
            await empty.modify_times(JOB, [RESULT])
        with pytest.raises(ResultUnavailable):
            await anext(empty.stream_file(JOB, RESULT))


@pytest.mark.parametrize(
    "column",
    [
        pa.DictionaryArray.from_arrays(pa.array([0] * 400), ["x" * 100_000]).cast(pa.string()),
        pa.DictionaryArray.from_arrays(pa.array([0] * 400), [b"x" * 100_000]).cast(pa.binary()),
        pa.DictionaryArray.from_arrays(pa.array([0] * 400), ["x" * 100_000]),
        pa.array([[7] * 100_000] * 50),
        pa.array(["short"] * 399 + ["x" * 5_000_000]),
        pa.array([None, *["y" * 1_000] * 4_000]),
    ],
    ids=lambda column: str(column.type),
)
def test_rows_are_read_in_parts_that_memory_has_room_for(tmp_path: Path, column: pa.Array) -> None:
    path = tmp_path / "table.parquet"
    written = pa.table({"c": column, "n": range(len(column))})
    pq.write_table(written, path, compression="zstd")
    found = list(batches(pq.ParquetFile(path), None))
    assert pa.Table.from_batches(found).cast(written.schema).equals(written)
    for batch in found:
        lengths = [len(cell or "") for cell in texts(batch.column("c"))]
        assert batch.num_rows <= 64 or sum(lengths) < 2**21 + max(lengths)


def test_wide_rows_of_numbers_are_read_in_parts_that_memory_has_room_for(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    same = pa.array([0] * 10_000)  # which takes next to nothing in the file
    written = pa.table({f"c{number}": same for number in range(200)})
    pq.write_table(written, path)
    found = list(batches(pq.ParquetFile(path), None))
    assert pa.Table.from_batches(found).equals(written)
    assert all(batch.nbytes < 2**21 for batch in found)
