"""SQL by DuckDB in a real runner."""

from collections.abc import AsyncIterator

import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from entrance.v1 import entrance_pb2
from tests.system.runner.client import FAILED, SUCCEED, Outcome, RunnerClient, started_runner

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunnerClient]:
    """One runner for all tests of this module; each test has table names of its own."""
    async with started_runner(tmp_path_factory.mktemp("runner")) as runner:
        await runner.open("duckdb")
        yield runner


async def rows(runner: RunnerClient, sql: str) -> list[list[dict[str, object]]]:
    """The rows of every table that SQL gives."""
    run = await runner.start(sql, "sql")
    outcome = await runner.follow(run)
    assert outcome.end.status == SUCCEED, outcome.log
    files = [runner.results(run) / result.file_name for result in outcome.results]
    return [pq.read_table(file).to_pylist() for file in files]


def parts(outcome: Outcome) -> list[entrance_pb2.ProgressInfo]:
    return list(outcome.progress[-1].progress_info)


async def test_each_select_gives_a_table_and_other_statements_a_count_in_the_log(
    runner: RunnerClient,
) -> None:
    outcome = await runner.run(
        "create table counted as select range i from range(5); select * from counted; "
        "insert into counted values (9); create table other (i int); "
        "select count(*) n, max(i) m from counted",
        "sql",
    )
    assert outcome.end.status == SUCCEED
    first, second = (result.result_set for result in outcome.results)
    assert (first.index, first.statement, first.row_count) == (0, 1, 5)
    assert [(column.name, column.data_type) for column in first.columns] == [("i", "bigint")]
    assert (second.index, second.statement, second.row_count) == (1, 4, 1)
    assert " INFO statement 1 of 5 begins: create table counted as select range i" in outcome.log
    assert " INFO statement 1 of 5 ended: 5 rows changed in " in outcome.log
    assert " INFO statement 2 of 5 ended: 5 rows in " in outcome.log
    assert " INFO statement 3 of 5 ended: 1 row changed in " in outcome.log
    assert " INFO statement 4 of 5 ended: done in " in outcome.log


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("values (1, 'a')", [{"col0": 1, "col1": "a"}]),
        ("from range(2)", [{"range": 0}, {"range": 1}]),
        ("with x as (select 1 n) select * from x", [{"n": 1}]),
        ("select 1 n where false", []),
        ("select ';' s -- ; no end\n", [{"s": ";"}]),
        ('select true as "Success"', [{"Success": True}]),
        ("insert into returned values (7) returning i", [{"i": 7}]),
        ('insert into returned values (7) returning i as "Count"', [{"Count": 7}]),
        ("pragma table_info('returned')", None),
        ("describe returned", None),
        ("explain select 1", None),
    ],
)
async def test_whatever_has_rows_gives_a_table(
    runner: RunnerClient, sql: str, expected: list[dict[str, object]] | None
) -> None:
    await runner.run("create table if not exists returned (i bigint)", "sql")
    (found,) = await rows(runner, sql)
    assert found if expected is None else found == expected


@pytest.mark.parametrize(
    "sql",
    [
        "set threads = 2",
        "checkpoint",
        "begin; commit",
        "prepare p as select 1; deallocate p",
        "copy (select 1) to 'copied.parquet'",
        "create view one as select 1; drop view one",
        "-- nothing",
        "",
    ],
)
async def test_whatever_has_no_rows_gives_no_table(runner: RunnerClient, sql: str) -> None:
    assert await rows(runner, sql) == []


async def test_a_session_keeps_its_tables(runner: RunnerClient) -> None:
    await runner.run("create table kept as select 42 n", "sql")
    assert await rows(runner, "select n from kept") == [[{"n": 42}]]


async def test_files_are_found_relative_to_the_working_directory(runner: RunnerClient) -> None:
    (runner.work / "data.csv").write_text("a,b\n1,x\n")
    sql = "copy (from 'data.csv') to 'data.parquet'; from 'data.parquet'"
    assert await rows(runner, sql) == [[{"a": 1, "b": "x"}]]


async def test_every_type_can_be_a_result(runner: RunnerClient) -> None:
    run = await runner.start(
        "select 1::tinyint a, 1::hugeint b, 1.5::decimal(10,3) c, date '2024-01-02' d, "
        "timestamp '2024-01-02 03:04:05' e, time '01:02:03' f, interval '1 day' g, "
        "[1, 2] h, {'x': 1} i, map {'k': 1} j, uuid() k, 'a'::enum ('a') l, null m, "
        "'ab'::blob n, union_value(num := 1) o, true p, 1.5::float q, 1.5::double r",
        "sql",
    )
    outcome = await runner.follow(run)
    assert [column.data_type for column in outcome.results[0].result_set.columns] == [
        *("tinyint", "decimal(38,0)", "decimal(10,3)", "date", "timestamp", "time", "interval"),
        *("array", "struct", "map", "string", "string", "string", "binary", "string"),
        *("boolean", "float", "double"),
    ]
    (row,) = pq.read_table(runner.results(run) / "0.parquet").to_pylist()
    assert row["g"] == "P0M1DT0S"
    assert row["o"] == "1"


async def test_a_failing_statement_ends_the_run_and_what_came_before_stays(
    runner: RunnerClient,
) -> None:
    outcome = await runner.run("select 1; select * from nowhere; select 3", "sql")
    assert outcome.end.status == FAILED
    assert outcome.end.error.code == 40300
    message = outcome.end.error.message
    assert message.startswith("statement 2 of 3: Catalog Error: Table with name nowhere does not")
    assert f" ERROR {message}\n" in outcome.log
    assert [result.result_set.statement for result in outcome.results] == [0]
    assert outcome.end.session_usable
    assert [(p.succeed_tasks, p.failed_tasks) for p in parts(outcome)] == [(1, 0), (0, 1), (0, 0)]


async def test_nothing_runs_when_a_statement_is_not_sql(runner: RunnerClient) -> None:
    outcome = await runner.run("create table unborn (i int); selec 1", "sql")
    assert outcome.end.error.message.startswith('Parser Error: syntax error at or near "selec"')
    outcome = await runner.run("select * from unborn", "sql")
    assert outcome.end.status == FAILED


async def test_each_statement_has_its_progress(runner: RunnerClient) -> None:
    outcome = await runner.run("select 1; select 2; select 3", "sql")
    assert outcome.progress[-1].progress == 1
    assert [part.id for part in parts(outcome)] == ["statement-1", "statement-2", "statement-3"]
    assert all(part.succeed_tasks == part.total_tasks == 1 for part in parts(outcome))


async def test_very_many_statements_share_the_parts_of_the_progress(runner: RunnerClient) -> None:
    outcome = await runner.run("set threads = 2;" * 2500, "sql")
    assert [part.id for part in parts(outcome)][:2] == ["statements-1-3", "statements-4-6"]
    assert sum(part.succeed_tasks for part in parts(outcome)) == 2500
    assert len(parts(outcome)) <= 1000


async def test_a_transaction_ends_with_its_run(runner: RunnerClient) -> None:
    outcome = await runner.run(
        "create table open_ended (i int); begin; drop table open_ended", "sql"
    )
    assert " WARN the transaction was left open and is rolled back\n" in outcome.log
    assert await rows(runner, "select * from open_ended") == [[]]


async def test_a_failed_transaction_does_not_spoil_the_next_run(runner: RunnerClient) -> None:
    outcome = await runner.run("begin; select error('no')", "sql")
    assert outcome.end.status == FAILED
    assert await rows(runner, "select 1 n") == [[{"n": 1}]]


async def test_a_large_result_takes_little_memory(runner: RunnerClient) -> None:
    await runner.run("set threads = 1; select 'x' from range(10)", "sql")
    before = runner.memory() + runner.below()[0].memory_info().rss
    run = await runner.start("select i, 'row number ' || i s from range(5_000_000) r(i)", "sql")
    peak = 0
    async for event in runner.events(run):
        peak = max(peak, runner.memory() + runner.below()[0].memory_info().rss)
        if event.HasField("result"):
            assert event.result.result_set.row_count == 5_000_000
    assert event.end.status == SUCCEED
    assert peak - before < 120 * 1024 * 1024
