"""SQL by DuckDB in a real runner."""

import pyarrow.parquet as pq
import pytest

from tests.system.runner.client import SUCCEED, RunnerClient


@pytest.fixture(autouse=True)
async def session(runner: RunnerClient) -> None:
    await runner.open("duckdb")


async def test_each_select_gives_a_table_and_other_statements_a_count_in_the_log(
    runner: RunnerClient,
) -> None:
    run = await runner.start(
        "create table t as select range i from range(5); select * from t; "
        "insert into t values (9); select count(*) n, max(i) m from t",
        "sql",
    )
    outcome = await runner.follow(run)
    print(outcome.log)
    assert outcome.end.status == SUCCEED
    assert [result.result_set.statement for result in outcome.results] == [1, 3]
    assert outcome.results[0].result_set.row_count == 5
    assert "statement 1 of 4 ended: 5 rows changed in " in outcome.log
    table = pq.read_table(runner.results(run) / outcome.results[1].file_name)
    assert table.to_pylist() == [{"n": 6, "m": 9}]
    print(outcome.events)
