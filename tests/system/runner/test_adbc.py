"""SQL over named connections in a real runner: SQLite, whose file is at hand, and wrong URLs."""

from pathlib import Path

import grpc
import pyarrow.parquet as pq
import pytest

from tests.system.runner.client import CANCELLED, FAILED, SUCCEED, RunnerClient

ENDLESS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1e15) "
    "select count(*) from n"
)


@pytest.fixture
async def sqlite(runner: RunnerClient, tmp_path: Path) -> RunnerClient:
    await runner.open("adbc", secrets={"url": f"sqlite://{tmp_path}/data.db", "password": ""})
    return runner


async def tables(runner: RunnerClient, sql: str) -> list[list[dict[str, object]]]:
    run = await runner.start(sql, "sql")
    outcome = await runner.follow(run)
    assert outcome.end.status == SUCCEED, outcome.log
    files = [runner.results(run) / result.file_name for result in outcome.results]
    return [pq.read_table(file).to_pylist() for file in files]


async def test_statements_run_one_by_one_and_rows_become_tables(sqlite: RunnerClient) -> None:
    outcome = await sqlite.run(
        "create table t (n integer, s text); insert into t values (1, 'a;b'), (2, null); "
        "select * from t order by n; -- the end",
        "sql",
    )
    assert outcome.end.status == SUCCEED, outcome.log
    (result,) = (one.result_set for one in outcome.results)
    assert (result.statement, result.row_count) == (2, 2)
    assert [(one.name, one.data_type) for one in result.columns] == [
        ("n", "bigint"),
        ("s", "string"),
    ]
    assert " INFO statement 3 of 3 ended: 2 rows in " in outcome.log
    assert outcome.progress[-1].progress == 1


async def test_the_database_keeps_what_a_run_wrote(sqlite: RunnerClient) -> None:
    await tables(sqlite, "create table kept as select 7 n")
    assert await tables(sqlite, "select n from kept") == [[{"n": 7}]]


async def test_an_error_is_the_database_s_and_names_the_statement(sqlite: RunnerClient) -> None:
    outcome = await sqlite.run("select 1; selec 2; select 3", "sql")
    assert outcome.end.status == FAILED
    assert outcome.end.error.message == 'statement 2 of 3: near "selec": syntax error'
    assert len(outcome.results) == 1
    assert outcome.end.session_usable


async def test_a_transaction_left_open_is_rolled_back(sqlite: RunnerClient) -> None:
    await sqlite.run("create table t (n integer)", "sql")
    outcome = await sqlite.run("begin; insert into t values (1)", "sql")
    assert "WARN the transaction was left open and is rolled back" in outcome.log
    assert await tables(sqlite, "select count(*) n from t") == [[{"n": 0}]]


async def test_a_kill_ends_a_statement_that_would_take_for_ever(sqlite: RunnerClient) -> None:
    run = await sqlite.start(ENDLESS, "sql")
    await sqlite.interrupt(run, grace=20)
    outcome = await sqlite.follow(run)
    assert outcome.end.status == CANCELLED


async def test_a_quote_that_nothing_closes_is_told(sqlite: RunnerClient) -> None:
    outcome = await sqlite.run("select 'a", "sql")
    assert outcome.end.status == FAILED
    assert "the SQL can't be read" in outcome.end.error.message


@pytest.mark.parametrize(
    ("secrets", "code", "told"),
    [
        ({}, grpc.StatusCode.INVALID_ARGUMENT, "names no connection"),
        (
            {"url": "mysql://db/x", "password": ""},
            grpc.StatusCode.INVALID_ARGUMENT,
            "begins with 'mysql'; write one of: postgresql, postgres, sqlite",
        ),
        (
            {"url": "sqlite:///nowhere/at/all.db", "password": ""},
            grpc.StatusCode.UNAVAILABLE,
            "the database does not answer: ",
        ),
        (
            {"url": "postgresql://me@127.0.0.1:1/x", "password": "open sesame"},
            grpc.StatusCode.UNAVAILABLE,
            "Connection refused",
        ),
    ],
)
async def test_a_connection_that_does_not_work_says_why(
    runner: RunnerClient, secrets: dict[str, str], code: grpc.StatusCode, told: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await runner.open("adbc", secrets=secrets)
    assert caught.value.code() == code
    details = caught.value.details() or ""
    assert told in details
    assert "open sesame" not in details
