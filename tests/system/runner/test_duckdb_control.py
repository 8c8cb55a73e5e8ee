"""Kill, pause and death of a DuckDB worker in a real runner."""

import psutil
import pytest

from tests.system.runner.client import CANCELLED, FAILED, SUCCEED, RunnerClient

# would take hours
ENDLESS = "select sum(a.range * b.range) from range(10_000_000) a, range(10_000_000) b"


@pytest.fixture(autouse=True)
async def session(runner: RunnerClient) -> None:
    await runner.open("duckdb", options={"duckdb.threads": "1", "duckdb.memory_limit": "500MB"})


async def begun(runner: RunnerClient, sql: str) -> str:
    """A run whose last statement has begun; it makes a file before."""
    run = await runner.start(f"copy (select 1) to 'begun.csv'; {sql}", "sql")
    await runner.until((runner.work / "begun.csv").exists)
    return run


async def test_a_killed_statement_leaves_the_session_its_tables(runner: RunnerClient) -> None:
    await runner.run("create table kept as select 1 n", "sql")
    run = await begun(runner, ENDLESS)
    await runner.interrupt(run, grace=20)
    outcome = await runner.follow(run)
    assert outcome.end.status == CANCELLED
    assert outcome.end.session_usable
    assert (await runner.run("select * from kept", "sql")).end.status == SUCCEED


async def test_a_kill_between_statements_lets_no_other_begin(runner: RunnerClient) -> None:
    run = await begun(runner, "select 1;" * 100_000)
    await runner.interrupt(run, grace=20)
    outcome = await runner.follow(run)
    assert outcome.end.status == CANCELLED
    assert outcome.end.session_usable
    assert len(outcome.results) < 100_000


async def test_a_kill_that_comes_late_does_not_hit_the_next_run(runner: RunnerClient) -> None:
    for _ in range(10):
        run = await runner.start("select 1", "sql")
        await runner.interrupt(run, grace=20)
        await runner.follow(run)
        assert (await runner.run("select 2", "sql")).end.status == SUCCEED


async def test_pause_freezes_the_worker_and_a_kill_ends_it(runner: RunnerClient) -> None:
    run = await begun(runner, ENDLESS)
    await runner.pause(run)
    (worker,) = runner.below()
    await runner.until(lambda: worker.status() == psutil.STATUS_STOPPED)
    await runner.interrupt(run, grace=20)
    outcome = await runner.follow(run)
    assert outcome.end.status == CANCELLED
    assert outcome.end.session_usable


async def test_a_frozen_worker_is_killed_after_the_grace_period(runner: RunnerClient) -> None:
    run = await begun(runner, ENDLESS)
    (worker,) = runner.below()
    worker.suspend()
    await runner.interrupt(run, grace=0.1)
    outcome = await runner.follow(run)
    assert outcome.end.status == CANCELLED
    assert not outcome.end.session_usable
    assert not runner.below()


async def test_a_worker_that_dies_fails_its_run_and_ends_the_session(runner: RunnerClient) -> None:
    run = await begun(runner, ENDLESS)
    (worker,) = runner.below()
    worker.kill()
    outcome = await runner.follow(run)
    assert outcome.end.status == FAILED
    assert outcome.end.error.message == "the engine's process ended: SIGKILL"
    assert not outcome.end.session_usable


async def test_too_little_memory_fails_the_statement_only(runner: RunnerClient) -> None:
    await runner.run("set temp_directory = ''", "sql")
    sql = "create table t as select range, range::varchar from range(100_000_000)"
    outcome = await runner.run(sql, "sql")
    assert outcome.end.status == FAILED
    assert "Out of Memory" in outcome.end.error.message
    assert outcome.end.session_usable


async def test_a_worker_ends_when_its_runner_is_gone(runner: RunnerClient) -> None:
    (worker,) = runner.below()
    await runner.close()
    assert not worker.is_running()
