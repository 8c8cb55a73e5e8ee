"""Result files: what is taken in, how it is paged and streamed."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from entrance_server.domain.job import Column, ResultSet, ResultType
from entrance_server.results import ResultFiles, ResultRejected, ResultUnavailable
from entrance_server.tenure import Tenure, TenureEnded

JOB = 1234
ROWS = 25_000
COLUMNS = (Column("n", "int", "a number"), Column("text", "varchar"))
NUMBERS = pa.table({"n": range(ROWS), "text": [f"row {n}" for n in range(ROWS)]})


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[ResultFiles]:
    async with ResultFiles(tmp_path) as opened:
        yield opened


@pytest.fixture
async def staging(files: ResultFiles) -> Path:
    return await files.make_staging("run-1")


def result_set(kind: ResultType = ResultType.TABLE, **changes: Any) -> ResultSet:
    columns = COLUMNS if kind is ResultType.TABLE else ()
    made = ResultSet(0, kind, "application/x", "made-by-runner", columns=columns)
    return dataclasses.replace(made, **changes)


async def adopted(files: ResultFiles, content: pa.Table | bytes, **options: Any) -> ResultSet:
    staging = await files.make_staging("run-1")
    if isinstance(content, bytes):
        (staging / "made-by-runner").write_bytes(content)
        return await files.adopt(JOB, 1, staging, result_set(ResultType.TEXT))
    pq.write_table(content, staging / "made-by-runner", compression="zstd", **options)
    columns = tuple(Column(name, "string") for name in content.schema.names)
    return await files.adopt(JOB, 1, staging, result_set(columns=columns))


async def whole(files: ResultFiles, result: ResultSet, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in files.stream(JOB, result, offset)])


async def streamed(files: ResultFiles, result: ResultSet, offset: int = 0) -> pa.Table:
    return pa.ipc.open_stream(await whole(files, result, offset)).read_all()


async def test_a_table_is_taken_in_with_its_shape(files: ResultFiles, staging: Path) -> None:
    pq.write_table(NUMBERS, staging / "made-by-runner")
    result = await files.adopt(JOB, 1, staging, result_set())
    home = files.directory(JOB)
    assert result.row_count == ROWS
    assert result.size_bytes == (home / result.file_name).stat().st_size
    assert result.columns == COLUMNS
    assert list(staging.iterdir()) == []


async def test_a_table_with_other_columns_than_told_is_rejected(
    files: ResultFiles, staging: Path
) -> None:
    pq.write_table(NUMBERS, staging / "made-by-runner")
    with pytest.raises(ResultRejected, match="2 columns rather than 1"):
        await files.adopt(JOB, 1, staging, result_set(columns=(Column("n", "int"),)))


async def test_a_file_that_was_adopted_before_is_not_missed(
    files: ResultFiles, staging: Path
) -> None:
    pq.write_table(NUMBERS, staging / "made-by-runner")
    result = await files.adopt(JOB, 1, staging, result_set())
    assert await files.adopt(JOB, 1, staging, result_set()) == result
    await files.remove_staging("run-1")
    await files.remove_staging("run-1")
    assert await files.adopt(JOB, 1, staging, result_set()) == result


async def test_another_try_has_files_of_its_own(files: ResultFiles, staging: Path) -> None:
    first = await adopted(files, NUMBERS)
    with pytest.raises(ResultRejected, match="no file"):
        await files.adopt(JOB, 2, staging, result_set())
    pq.write_table(NUMBERS.slice(0, 1), staging / "made-by-runner")
    second = await files.adopt(JOB, 2, staging, result_set())
    assert second.file_name != first.file_name
    assert (await files.read_rows(JOB, second, 0, 9)) == [["0", "row 0"]]


async def test_files_of_tries_that_are_over_go_and_those_of_a_later_one_stay(
    files: ResultFiles, staging: Path, tmp_path: Path
) -> None:
    for attempt in (1, 2, 3):
        (staging / "made-by-runner").write_bytes(b"text")
        await files.adopt(JOB, attempt, staging, result_set(ResultType.TEXT))
    await files.remove(JOB, attempt=2)
    assert [path.name for path in files.directory(JOB).iterdir()] == ["3-0.txt"]
    await files.remove(JOB, attempt=3)
    await files.remove(JOB, attempt=3)
    assert not list(tmp_path.glob(f"*/{JOB}"))


async def test_a_server_that_may_not_act_any_more_changes_nothing(tmp_path: Path) -> None:
    tenure = Tenure()
    async with ResultFiles(tmp_path, tenure=tenure) as files:
        kept = await adopted(files, b"kept")
        staging = await files.make_staging("run-1")
        (staging / "made-by-runner").write_bytes(b"of a run that goes on elsewhere")
        tenure.end()
        for change in (
            files.adopt(JOB, 1, staging, result_set(ResultType.TEXT)),
            files.remove(JOB, attempt=1),
            files.remove_staging("run-1"),
            files.make_staging("run-2"),
        ):
            with pytest.raises(TenureEnded):
                await change
        assert await whole(files, kept) == b"kept"
        assert [path.name for path in staging.iterdir()] == ["made-by-runner"]
        assert await files.staged() == {"run-1"}


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../secret", "/etc/hostname", "a/b", "./made", "a\0b"]
)
async def test_a_name_that_leads_elsewhere_is_rejected(
    files: ResultFiles, staging: Path, name: str
) -> None:
    (files.directory(JOB) / "secret").write_text("of another")
    with pytest.raises(ResultRejected, match="is not the name of a file"):
        await files.adopt(JOB, 1, staging, result_set(ResultType.TEXT, file_name=name))
    assert (files.directory(JOB) / "secret").exists()


@pytest.mark.parametrize("make", ["symlink", "hard link", "directory", "pipe"])
async def test_what_is_no_file_of_its_own_is_rejected(
    files: ResultFiles, staging: Path, tmp_path: Path, make: str
) -> None:
    secret, made = tmp_path / "secret", staging / "made-by-runner"
    secret.write_text("of another")
    match make:
        case "symlink":
            made.symlink_to(secret)
        case "hard link":
            made.hardlink_to(secret)
        case "directory":
            made.mkdir()
        case "pipe":
            os.mkfifo(made)
    with pytest.raises(ResultRejected, match="not a regular file"):
        await files.adopt(JOB, 1, staging, result_set(ResultType.TEXT))
    assert list(files.directory(JOB).iterdir()) == []


async def test_a_staging_directory_that_became_a_link_is_not_followed(
    files: ResultFiles, staging: Path, tmp_path: Path
) -> None:
    staging.rmdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "made-by-runner").write_text("of another")
    staging.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResultRejected, match="not readable"):
        await files.adopt(JOB, 1, staging, result_set(ResultType.TEXT))


async def test_a_name_that_no_file_can_have_is_rejected(files: ResultFiles, staging: Path) -> None:
    with pytest.raises(ResultRejected, match="too long"):
        await files.adopt(JOB, 1, staging, result_set(ResultType.TEXT, file_name="x" * 999))


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1" + b"\xff" * 64 + b"PAR1"])
async def test_a_table_that_is_not_readable_is_rejected_and_removed(
    files: ResultFiles, staging: Path, content: bytes
) -> None:
    (staging / "made-by-runner").write_bytes(content)
    with pytest.raises(ResultRejected, match="readable"):
        await files.adopt(JOB, 1, staging, result_set())
    assert list(files.directory(JOB).iterdir()) == []


async def test_a_file_larger_than_the_room_left_is_not_kept(
    files: ResultFiles, staging: Path, tmp_path: Path
) -> None:
    (staging / "made-by-runner").write_bytes(b"x" * 1025)
    with pytest.raises(ResultRejected, match="it has 1 KiB, more than the 1 KiB that are left"):
        await files.adopt(JOB, 1, staging, result_set(ResultType.TEXT), max_bytes=1024)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    (staging / "made-by-runner").write_bytes(b"x" * 1024)
    kept = await files.adopt(JOB, 1, staging, result_set(ResultType.TEXT), max_bytes=1024)
    assert kept.size_bytes == 1024


@pytest.mark.parametrize("start", [0, 1, 9_999, 10_000, 12_345, ROWS - 3])
async def test_a_page_has_the_rows_from_its_start_on(files: ResultFiles, start: int) -> None:
    result = await adopted(files, NUMBERS, row_group_size=10_000)
    rows = await files.read_rows(JOB, result, start, 3)
    assert rows == [[str(n), f"row {n}"] for n in range(start, start + 3)]


async def test_pages_over_row_groups_give_every_row_once(files: ResultFiles) -> None:
    result = await adopted(files, NUMBERS, row_group_size=7_001)
    rows: list[list[str | None]] = []
    while page := await files.read_rows(JOB, result, len(rows), 4_999):
        rows += page
    assert rows == [[str(n), f"row {n}"] for n in range(ROWS)]


async def test_a_page_reads_no_row_group_before_its_start(files: ResultFiles) -> None:
    result = await adopted(files, NUMBERS, row_group_size=10_000)
    path = files.directory(JOB) / result.file_name
    with pq.ParquetFile(path) as table:
        chunks = [table.metadata.row_group(0).column(i) for i in range(2)]
    with path.open("r+b") as damaged:  # the first group can't be read any more
        for chunk in chunks:
            damaged.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
            damaged.write(b"\xff" * 16)
    with pytest.raises(ResultUnavailable):
        await files.read_rows(JOB, result, 0, 1)
    assert await files.read_rows(JOB, result, 10_000, 1) == [["10000", "row 10000"]]
    assert (await streamed(files, result, 10_000)).num_rows == ROWS - 10_000


async def test_a_page_past_the_end_is_empty(files: ResultFiles) -> None:
    result = await adopted(files, NUMBERS)
    assert await files.read_rows(JOB, result, ROWS, 10) == []
    assert await files.read_rows(JOB, result, 2**63 - 1, 10) == []


async def test_a_page_of_large_cells_ends_early_but_never_empty(files: ResultFiles) -> None:
    result = await adopted(files, pa.table({"text": ["x" * 1000] * 10}))
    assert len(await files.read_rows(JOB, result, 0, 10, max_bytes=3500)) == 3
    assert len(await files.read_rows(JOB, result, 0, 10, max_bytes=1)) == 1


async def test_an_empty_table_has_a_shape_and_no_rows(files: ResultFiles) -> None:
    result = await adopted(files, NUMBERS.slice(0, 0))
    assert result.row_count == 0
    assert len(result.columns) == 2
    assert await files.read_rows(JOB, result, 0, 10) == []
    assert (await streamed(files, result)).equals(NUMBERS.slice(0, 0))


async def test_columns_of_one_name_stay_apart(files: ResultFiles) -> None:
    twins = pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], names=["a", "a"])
    result = await adopted(files, twins)
    assert await files.read_rows(JOB, result, 0, 10) == [["1", "x"]]
    assert (await streamed(files, result)).equals(twins)


@pytest.mark.parametrize("start", [0, 1, 8_192, 10_000, 17_777, ROWS - 1, ROWS, ROWS + 5])
async def test_a_stream_from_a_row_on_is_the_rest_of_the_whole(
    files: ResultFiles, start: int
) -> None:
    table = NUMBERS.append_column("kind", pa.array(["a", "b"] * (ROWS // 2)).dictionary_encode())
    result = await adopted(files, table, row_group_size=10_000)
    rest = await streamed(files, result, start)
    assert rest.schema.names == table.schema.names
    assert rest.to_pydict() == table.slice(start).to_pydict()


async def test_a_stream_comes_in_small_pieces(files: ResultFiles) -> None:
    result = await adopted(files, pa.table({"text": [f"{n:>100000}" for n in range(100)]}))
    sizes = [len(piece) async for piece in files.stream(JOB, result, 0)]
    assert max(sizes) <= 256 * 1024
    assert sum(sizes) > 100 * 100_000


async def test_a_reader_that_stops_early_leaves_no_file_open(files: ResultFiles) -> None:
    result = await adopted(files, NUMBERS)
    before = len(os.listdir("/proc/self/fd"))
    stream = files.stream(JOB, result, 0)
    assert await anext(stream)
    await stream.aclose()
    reader = asyncio.create_task(whole(files, result))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("start", [0, 1, 262_144, 599_999, 600_000, 2**63 - 1])
async def test_other_content_is_read_from_a_byte_on(files: ResultFiles, start: int) -> None:
    content = os.urandom(600_000)
    result = await adopted(files, content)
    assert (result.row_count, result.size_bytes, result.columns) == (0, 600_000, ())
    assert await files.read_bytes(JOB, result, start, 10) == content[start : start + 10]
    assert await whole(files, result, start) == content[start:]


async def test_a_result_that_is_gone_is_unavailable(files: ResultFiles) -> None:
    result = await adopted(files, NUMBERS)
    await files.remove(JOB, attempt=1)
    with pytest.raises(ResultUnavailable):
        await files.read_rows(JOB, result, 0, 1)
    with pytest.raises(ResultUnavailable):
        await files.read_bytes(JOB, result, 0, 1)
    with pytest.raises(ResultUnavailable):
        await whole(files, result)


async def test_removing_results_leaves_what_is_beside_them(
    files: ResultFiles, tmp_path: Path
) -> None:
    await adopted(files, NUMBERS)
    (tmp_path / "1" / "1234" / "log").touch()
    await files.remove(JOB, attempt=1)
    await files.remove(JOB, attempt=1)
    assert [file.name for file in (tmp_path / "1" / "1234").iterdir()] == ["log"]
    (tmp_path / "1" / "1234" / "log").unlink()
    await files.remove(JOB, attempt=1)
    assert list((tmp_path / "1").iterdir()) == []


async def test_what_a_run_that_is_over_left_is_found_and_removed(files: ResultFiles) -> None:
    assert await files.staged() == frozenset()
    kept, left = await files.make_staging("1-1"), await files.make_staging("2-1")
    (left / "half-written").write_bytes(b"x")
    assert await files.staged() == {"1-1", "2-1"}
    await files.remove_staging("2-1")
    assert (kept.exists(), left.exists()) == (True, False)


async def test_a_full_disk_makes_a_directory_of_a_run_unavailable(
    files: ResultFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(ResultUnavailable, match="No space left"):
        await files.make_staging("1-1")
