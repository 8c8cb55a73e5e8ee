"""SQL and Python on a real Spark, in a real runner."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from tests.support.spark import SparkCluster
from tests.system.runner.client import FAILED, SUCCEED, Outcome, RunnerClient, started_runner
from tests.system.spark.code import slow_query

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner(
    spark: SparkCluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunnerClient]:
    """One session for all tests of this module; each test has names of its own."""
    async with started_runner(tmp_path_factory.mktemp("runner")) as runner:
        await runner.open("spark", options={"spark.remote": spark.remote})
        yield runner


async def tables(runner: RunnerClient, code: str, run_type: str = "sql") -> list[object]:
    """The rows of every table that code gives."""
    run = await runner.start(code, run_type)
    outcome = await runner.follow(run)
    assert outcome.end.status == SUCCEED, outcome.log
    files = [runner.results(run) / result.file_name for result in outcome.results]
    return [pq.read_table(file).to_pylist() for file in files]


def messages(outcome: Outcome) -> list[str]:
    return [line[24:] for line in outcome.log.splitlines() if line[24:].startswith("INFO ")]


async def test_each_query_gives_a_table_and_other_statements_none(runner: RunnerClient) -> None:
    outcome = await runner.run(
        "create temporary view counted as select id from range(5);\n"
        "select * from counted; -- all of them\n"
        "select count(*) n, 'a;b' s from counted where id > 9",
        "sql",
    )
    assert outcome.end.status == SUCCEED, outcome.log
    first, second = (result.result_set for result in outcome.results)
    assert (first.index, first.statement, first.row_count) == (0, 1, 5)
    assert [(column.name, column.data_type) for column in first.columns] == [("id", "bigint")]
    assert (second.index, second.statement, second.row_count) == (1, 2, 1)
    assert messages(outcome)[0].startswith(
        "INFO statement 1 of 3 begins: create temporary view counted as"
    )
    assert messages(outcome)[1].startswith("INFO statement 1 of 3 ended: done in ")


async def test_sql_and_python_share_one_session_on_spark(runner: RunnerClient) -> None:
    code = "spark.range(3).createOrReplaceTempView('shared')\nkept = 42"
    assert await tables(runner, code, "py") == []
    assert await tables(runner, "select max(id) m from shared") == [[{"m": 2}]]
    assert await tables(runner, "spark.sql(f'select {kept} n')", "python") == [[{"n": 42}]]


async def test_rows_of_any_number_and_type_become_a_table(runner: RunnerClient) -> None:
    assert await tables(runner, "select 1 n where false") == [[]]
    (rows,) = await tables(runner, "select id from range(0, 300000, 1, 3)")
    assert isinstance(rows, list)
    assert len(rows) == 300_000
    run = await runner.start(
        "select 1Y a, 1S b, 1 c, 1L d, 1.5F e, 1.5D f, 1.5BD g, 'x' h, x'01' i, true j, "
        "date '2024-01-02' k, timestamp '2024-01-02 03:04:05' l, array(1) m, map('k', 1) n, "
        "named_struct('x', 1) o, interval '1' day p, null q, 1 a",
        "sql",
    )
    outcome = await runner.follow(run)
    assert outcome.end.status == SUCCEED, outcome.log
    assert [column.data_type for column in outcome.results[0].result_set.columns] == [
        *("tinyint", "smallint", "int", "bigint", "float", "double", "decimal(2,1)", "string"),
        *("binary", "boolean", "date", "timestamp", "array", "map", "struct", "interval"),
        *("string", "int"),
    ]


async def test_a_compound_statement_is_one_statement(runner: RunnerClient) -> None:
    code = "select 1 a;\nbegin\n  declare x int default 2;\n  select x + 1 as b;\nend"
    assert await tables(runner, code) == [[{"a": 1}], [{"b": 3}]]


async def test_an_error_is_one_line_and_its_stack_is_in_the_log(runner: RunnerClient) -> None:
    outcome = await runner.run("select 1; select * from nowhere; select 3", "sql")
    assert outcome.end.status == FAILED
    assert outcome.end.error.code == 40300
    message = outcome.end.error.message
    assert message.startswith("statement 2 of 3: [TABLE_OR_VIEW_NOT_FOUND] The table or view")
    assert "\n" not in message
    assert "org.apache" not in message
    assert "\tat org.apache.spark.sql" in outcome.log
    assert [result.result_set.statement for result in outcome.results] == [0]
    assert outcome.end.session_usable


async def test_an_error_while_rows_come_is_told_alike(runner: RunnerClient) -> None:
    outcome = await runner.run("select assert_true(id < 5) from range(10)", "sql")
    message = outcome.end.error.message
    assert message == "[USER_RAISED_EXCEPTION] '(id < 5)' is not true! SQLSTATE: P0001"


async def test_what_python_prints_and_displays_is_kept(runner: RunnerClient) -> None:
    run = await runner.start(
        "print('hello')\ndisplay(spark.range(2))\nimport pandas\n"
        "display(pandas.DataFrame({'p': [1]}))\nspark.range(7).where('id > 5')",
        "py",
    )
    outcome = await runner.follow(run)
    assert outcome.end.status == SUCCEED, outcome.log
    assert "hello\n" in outcome.log
    assert [result.result_set.row_count for result in outcome.results] == [2, 1, 1]


async def test_python_finds_session_and_functions_as_elsewhere(runner: RunnerClient) -> None:
    code = (
        "from pyspark.sql import SparkSession, functions as F\n"
        "assert SparkSession.builder.getOrCreate() is spark\n"
        "spark.range(1).select((F.col('id') + 1).alias('n'))"
    )
    assert await tables(runner, code, "py") == [[{"n": 1}]]


async def test_a_long_data_frame_is_displayed_in_part(runner: RunnerClient) -> None:
    options = {"spark.displayed_rows": "3"}
    run = await runner.start("spark.range(1000000000)", "py", options=options)
    outcome = await runner.follow(run)
    assert [result.result_set.row_count for result in outcome.results] == [3]
    assert " WARN of a data frame 3 rows are shown; there may be more\n" in outcome.log


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\n1 / 0", "ZeroDivisionError: division by zero (line 2)"),
        ("1 +", "SyntaxError: invalid syntax (line 1)"),
        ("spark.sql('selec 1')", "ParseException: [PARSE_SYNTAX_ERROR] Syntax error at or near"),
    ],
)
async def test_an_exception_fails_a_run_with_its_line(
    runner: RunnerClient, code: str, message: str
) -> None:
    outcome = await runner.run(code, "py")
    assert outcome.end.error.code == 40200
    assert outcome.end.error.message.startswith(message)
    assert "\n" not in outcome.end.error.message
    assert "Traceback" in outcome.log or "SyntaxError" in outcome.log
    assert outcome.end.session_usable


async def test_stages_and_their_tasks_are_the_progress(runner: RunnerClient) -> None:
    outcome = await runner.run(f"select 1; {slow_query(6, rows=1)}", "sql")
    assert outcome.end.status == SUCCEED, outcome.log
    seen = [
        (part.succeed_tasks, part.running_tasks, part.total_tasks)
        for told in outcome.progress
        for part in told.progress_info
        if part.id.startswith("stage-") and part.total_tasks == 6
    ]
    assert any(running > 0 for _, running, _ in seen)
    assert any(0 < done < 6 for done, _, _ in seen)
    assert seen[-1] == (6, 0, 6)
    fractions = [told.progress for told in outcome.progress]
    assert any(0.5 < fraction < 1 for fraction in fractions)


async def test_a_paused_run_goes_on_with_its_next_statement_when_it_is_resumed(
    runner: RunnerClient, spark: SparkCluster
) -> None:
    run = await runner.start(f"{slow_query(4, rows=8)}; select 2 n", "sql")
    await runner.until(spark.running_jobs)
    await runner.pause(run)
    assert (await runner.describe()).paused
    outcome = Outcome()
    async for event in runner.events(run):
        outcome.events.append(event)
        if "INFO paused before the next statement" in event.log.text:
            assert len(outcome.results) == 1
            await runner.resume(run)
    assert outcome.end.status == SUCCEED
    assert len(outcome.results) == 2
