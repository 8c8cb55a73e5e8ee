"""Tables as CSV and as workbooks: what each cell becomes, and what an export leaves behind."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
import math
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrance_server.domain.job import Column, ResultSet, ResultType
from entrance_server.results import Exports, ResultFiles, ResultUnavailable, workbooks
from entrance_server.results.tables import TableFile
from tests.unit.specs import largest_file

JOB = 1234
EMPTY = ResultSet(0, ResultType.TABLE, "application/x", "1-0.parquet")


class Archive:
    """Has the result files that it took out of their directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def take(self, directory: Path) -> None:
        self._root.mkdir()
        directory.rename(self._root / directory.name)

    async def fetch(self, task_id: int, names: Collection[str]) -> Path | None:
        return self._root if self._root.exists() else None

    async def modify_times(self, task_id: int) -> Mapping[str, datetime]:
        return {}


@dataclasses.dataclass(frozen=True)
class Place:
    """Result files, and what exports them."""

    files: ResultFiles
    exports: Exports
    scratch: Path

    def put(self, table: pa.Table) -> ResultSet:
        pq.write_table(table, self.files.directory(JOB) / EMPTY.file_name, row_group_size=1000)
        columns = tuple(Column(name, "string") for name in table.schema.names)
        return dataclasses.replace(EMPTY, columns=columns, row_count=table.num_rows)

    async def csv(
        self, table: pa.Table, *, separator: str = ",", null: str = "NULL", limit: int | None = None
    ) -> bytes:
        pieces = self.exports.csv(JOB, self.put(table), separator=separator, null=null, limit=limit)
        return b"".join([piece async for piece in pieces])

    async def book(
        self,
        table: pa.Table,
        *,
        sheet_name: str = "result",
        null: str = "NULL",
        limit: int | None = None,
    ) -> Any:
        pieces = self.exports.workbook(
            JOB, self.put(table), user="alice", sheet_name=sheet_name, null=null, limit=limit
        )
        written = b"".join([piece async for piece in pieces])
        return openpyxl.load_workbook(io.BytesIO(written))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    scratch = tmp_path / "exports"
    async with ResultFiles(tmp_path) as files, Exports(files, scratch) as exports:
        yield Place(files, exports, scratch)


def values(sheet: Any) -> list[tuple[Any, ...]]:
    return list(sheet.iter_rows(values_only=True))


class TestCsv:
    async def test_a_table_has_a_header_and_a_line_for_each_row(self, place: Place) -> None:
        table = pa.table({"n": [1, 2], "t": ["a", "ü"]})
        assert await place.csv(table) == "n,t\r\n1,a\r\n2,ü\r\n".encode()

    async def test_fields_are_quoted_where_they_must_be(self, place: Place) -> None:
        table = pa.table({'a "b"': ["x,y", 'say "z"', "two\nlines", "plain"]})
        assert await place.csv(table) == (
            b'"a ""b"""\r\n"x,y"\r\n"say ""z"""\r\n"two\nlines"\r\nplain\r\n'
        )

    async def test_null_is_what_is_asked_for(self, place: Place) -> None:
        table = pa.table({"a": [None, "x"], "b": pa.array([None, None], pa.int64())})
        assert await place.csv(table) == b"a,b\r\nNULL,NULL\r\nx,NULL\r\n"
        assert await place.csv(table, null="") == b"a,b\r\n,\r\nx,\r\n"
        assert await place.csv(table, null="\\N") == b"a,b\r\n\\N,\\N\r\nx,\\N\r\n"

    async def test_the_separator_is_what_is_asked_for(self, place: Place) -> None:
        table = pa.table({"a": ["x;y", "1,5"], "b": [1, 2]})
        assert await place.csv(table, separator=";") == b'a;b\r\n"x;y";1\r\n1,5;2\r\n'

    async def test_there_is_no_byte_order_mark(self, place: Place) -> None:
        assert (await place.csv(pa.table({"ü": [1]}))).startswith("ü".encode())

    async def test_what_looks_like_a_formula_stays_as_it_is(self, place: Place) -> None:
        table = pa.table({"a": ["=1+1", "-5", "@x", "+1"]})
        assert await place.csv(table) == b"a\r\n=1+1\r\n-5\r\n@x\r\n+1\r\n"

    async def test_an_empty_table_is_its_header(self, place: Place) -> None:
        assert await place.csv(pa.table({"a": pa.array([], pa.int64())})) == b"a\r\n"

    @pytest.mark.parametrize(
        ("limit", "rows"), [(None, 2_500), (1, 1), (1_000, 1_000), (9_999, 2_500)]
    )
    async def test_the_first_rows_are_sent(
        self, place: Place, limit: int | None, rows: int
    ) -> None:
        table = pa.table({"n": range(2_500)})
        lines = (await place.csv(table, limit=limit)).decode().split()
        assert lines == ["n", *map(str, range(rows))]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    rows=st.lists(st.tuples(st.text(), st.none() | st.text()), max_size=20),
    separator=st.sampled_from([",", ";", "\t", "|", " "]),
)
def test_csv_is_read_as_it_was(
    tmp_path: Path, rows: list[tuple[str, str | None]], separator: str
) -> None:
    columns = {"a": [a for a, _ in rows], "b": [b for _, b in rows]}
    table = pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})
    path = tmp_path / "table.parquet"
    pq.write_table(table, path)
    written = b"".join(
        TableFile(path).csv(["a", "b"], separator=separator, null="NULL", limit=None)
    )
    read = csv.reader(io.StringIO(written.decode(), newline=""), delimiter=separator, strict=True)
    assert list(read) == [["a", "b"], *([a, "NULL" if b is None else b] for a, b in rows)]


class TestWorkbook:
    @pytest.mark.parametrize(
        ("array", "cells"),
        [
            (pa.array([1, -2, None]), [1, -2, "NULL"]),
            (pa.array([10**15 - 1, 10**15]), [10**15 - 1, "1000000000000000"]),
            (pa.array([2**63 - 1]), ["9223372036854775807"]),
            (pa.array([0.1, 1e300, None]), [0.1, 1e300, "NULL"]),
            (pa.array([0.1], pa.float32()), [0.1]),
            (pa.array([math.inf, math.nan]), ["inf", "nan"]),
            (pa.array([True, False, None]), [True, False, "NULL"]),
            (pa.array([Decimal("1.25"), Decimal("-0.50")]), [1.25, -0.5]),
            (
                pa.array([Decimal("12345678901234.56"), Decimal("0.000000000000001")]),
                ["12345678901234.560000000000000", 1e-15],
            ),
            (pa.array(["=1+1", "-5", "http://a.b", ""]), ["=1+1", "-5", "http://a.b", ""]),
            (pa.array([date(2024, 2, 29), None]), [datetime(2024, 2, 29), "NULL"]),
            (pa.array([date(1900, 2, 28), date(1900, 3, 1)]), ["1900-02-28", datetime(1900, 3, 1)]),
            (
                pa.array([datetime(2024, 2, 29, 12, 30, 1, 500_000)]),
                [datetime(2024, 2, 29, 12, 30, 1, 500_000)],
            ),
            (
                pa.array(
                    [datetime(2024, 2, 29, 12, tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin")
                ),
                [datetime(2024, 2, 29, 12)],
            ),
            (pa.array([datetime(1850, 1, 1)]), ["1850-01-01T00:00:00"]),
            (pa.array([time(12, 30)]), ["12:30:00"]),
            (pa.array([b"\x01\xff"]), ["01ff"]),
            (pa.array([[1, None]]), ["[1,null]"]),
            (pa.array([{"a": 1}]), ['{"a":1}']),
            (pa.nulls(1), ["NULL"]),
            (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        ],
        ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
    )
    async def test_a_cell_is_what_it_is(
        self, place: Place, array: pa.Array, cells: list[Any]
    ) -> None:
        book = await place.book(pa.table({"c": array}))
        assert values(book.active) == [("c",), *((cell,) for cell in cells)]

    async def test_text_is_never_a_formula(self, place: Place) -> None:
        book = await place.book(pa.table({"=1+1": ["=1+1", "+1", "@x"]}))
        assert {cell.data_type for row in book.active.iter_rows() for cell in row} == {"s"}

    async def test_a_long_text_is_cut_where_a_cell_ends(self, place: Place) -> None:
        book = await place.book(pa.table({"c": ["x" * 40_000]}))
        assert values(book.active)[1] == ("x" * 32_767,)

    async def test_control_characters_survive(self, place: Place) -> None:
        book = await place.book(pa.table({"c": ["a\0b\x07\ufffe", "two\nlines"]}))
        assert values(book.active)[2] == ("two\nlines",)

    async def test_null_may_be_nothing(self, place: Place) -> None:
        book = await place.book(pa.table({"a": [None, "x"]}), null="")
        assert values(book.active) == [("a",), (None,), ("x",)]

    @pytest.mark.parametrize(
        ("wanted", "name"),
        [
            ("flights", "flights"),
            ("a/b:c[d]*?\\", "abcd"),
            ("'x'", "x"),
            ("x" * 100, "x" * 31),
            ("😀" * 100, "😀" * 15),
            ("", "result"),
            ("\r\n\0", "result"),
        ],
    )
    async def test_a_sheet_has_a_name_that_it_can_have(
        self, place: Place, wanted: str, name: str
    ) -> None:
        book = await place.book(pa.table({"a": [1]}), sheet_name=wanted)
        assert book.sheetnames == [name]

    async def test_rows_beyond_a_sheet_go_on_in_the_next_one(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workbooks, "MAX_ROWS", 1_001)
        book = await place.book(pa.table({"n": range(2_500)}), sheet_name="x" * 31)
        assert book.sheetnames == ["x" * 31, "x" * 27 + " (2)", "x" * 27 + " (3)"]
        sheets = [values(sheet) for sheet in book]
        assert [len(rows) for rows in sheets] == [1_001, 1_001, 501]
        assert {rows[0] for rows in sheets} == {("n",)}
        assert [row[0] for rows in sheets for row in rows[1:]] == list(range(2_500))

    async def test_the_first_rows_are_sent(self, place: Place) -> None:
        book = await place.book(pa.table({"n": range(100)}), limit=3)
        assert values(book.active) == [("n",), (0,), (1,), (2,)]


async def test_an_export_leaves_no_file(place: Place) -> None:
    await place.book(pa.table({"n": range(5_000)}))
    assert list(place.scratch.iterdir()) == []


async def test_an_export_that_is_not_read_to_its_end_leaves_no_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrance_server.results.exports.SILENCE", 0.0)
    table = place.put(pa.table({"n": range(5_000)}))
    pieces = place.exports.workbook(JOB, table, user="alice", sheet_name="x", null="", limit=None)
    async with aclosing(pieces):
        async for piece in pieces:
            assert piece == b""  # it goes on
            if list(place.scratch.iterdir()):
                break
    assert list(place.scratch.iterdir()) == []


async def test_what_a_killed_server_left_is_removed(tmp_path: Path) -> None:
    scratch = tmp_path / "exports"
    (scratch / "old").mkdir(parents=True)
    (scratch / "old" / "workbook.xlsx").touch()
    async with ResultFiles(tmp_path) as files, Exports(files, scratch):
        assert list(scratch.iterdir()) == []
        assert scratch.stat().st_mode & 0o777 == 0o700


async def test_a_full_disk_is_unavailable_and_leaves_no_file(place: Place) -> None:
    table = place.put(pa.table({"n": range(50_000)}))
    with largest_file(100_000), pytest.raises(ResultUnavailable):
        async for _ in place.exports.workbook(
            JOB, table, user="alice", sheet_name="x", null="", limit=None
        ):
            pass
    assert list(place.scratch.iterdir()) == []


async def test_a_table_that_is_gone_is_unavailable(place: Place) -> None:
    table = place.put(pa.table({"n": [1]}))
    (await place.files.located(JOB, table)).unlink()
    with pytest.raises(ResultUnavailable):
        async for _ in place.exports.workbook(
            JOB, table, user="alice", sheet_name="x", null="", limit=None
        ):
            pass


async def test_a_workbook_waits_for_its_turn_and_says_that_it_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrance_server.results.exports.SILENCE", 0.0)
    table = place.put(pa.table({"n": [1]}))
    exports = Exports(place.files, place.scratch, max_workbooks=1)

    def workbook() -> AsyncGenerator[bytes, None]:
        return exports.workbook(JOB, table, user="alice", sheet_name="x", null="", limit=None)

    async with exports, aclosing(workbook()) as first, aclosing(workbook()) as given_up:
        await anext(first)
        assert await anext(given_up) == b""
        await given_up.aclose()
        async with aclosing(workbook()) as second:
            assert await anext(second) == b""
            assert len(list(place.scratch.iterdir())) <= 1
            async for _ in first:
                pass
            assert b"".join([piece async for piece in second]).startswith(b"PK")


async def test_a_user_who_takes_no_workbook_holds_nobody_else_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrance_server.results.exports.SILENCE", 0.0)
    table = place.put(pa.table({"n": [1]}))
    exports = Exports(place.files, place.scratch, max_workbooks=2, max_workbooks_per_user=1)

    def workbook(user: str) -> AsyncGenerator[bytes, None]:
        return exports.workbook(JOB, table, user=user, sheet_name="x", null="", limit=None)

    async with exports, aclosing(workbook("alice")) as first, aclosing(workbook("alice")) as next_:
        while not await anext(first):
            pass
        assert await anext(next_) == b""
        async with asyncio.timeout(20):
            assert b"".join([piece async for piece in workbook("bob")]).startswith(b"PK")
        await first.aclose()
        assert b"".join([piece async for piece in next_]).startswith(b"PK")


async def test_a_workbook_is_made_of_a_table_that_was_archived_while_it_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrance_server.results.exports.SILENCE", 0.0)
    archive = Archive(tmp_path / "archive")
    async with ResultFiles(tmp_path / "jobs", elsewhere=archive) as files:
        exports = Exports(files, tmp_path / "exports", max_workbooks=1)
        place = Place(files, exports, tmp_path / "exports")
        table = place.put(pa.table({"n": [1]}))

        def workbook() -> AsyncGenerator[bytes, None]:
            return exports.workbook(JOB, table, user="alice", sheet_name="x", null="", limit=None)

        async with exports, aclosing(workbook()) as first, aclosing(workbook()) as second:
            while not await anext(first):
                pass
            assert await anext(second) == b""
            archive.take(files.directory(JOB))
            await first.aclose()
            assert b"".join([piece async for piece in second]).startswith(b"PK")


async def test_exports_advance_together(place: Place) -> None:
    table = place.put(pa.table({"n": range(200_000)}))
    done: list[str] = []

    async def export(name: str, limit: int | None) -> None:
        async for _ in place.exports.csv(JOB, table, separator=",", null="", limit=limit):
            pass
        done.append(name)

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(export(f"long {number}", None))
        tasks.create_task(export("short", 10))
    assert done[0] == "short"
