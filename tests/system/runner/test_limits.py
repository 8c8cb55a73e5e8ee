"""Settings of memory, cores and environment act on real processes."""

from __future__ import annotations

import os
import shlex
import sys

import grpc.aio
import pytest

from entrance_runner.errors import ErrorCode
from tests.system.runner.client import FAILED, SUCCEED, RunnerClient

HUNGRY = "data = bytearray(600 * 2**20)"
COUNT_CORES = "import os; print(len(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'])"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can limit cores")


async def test_python_without_room_raises_a_memory_error_that_names_the_limit(
    runner: RunnerClient,
) -> None:
    await runner.open("python", options={"python.memory_limit": "500MiB"})
    outcome = await runner.run(HUNGRY, "python")
    assert outcome.end.status == FAILED
    assert outcome.end.error.code == ErrorCode.PYTHON_EXCEPTION
    assert outcome.end.error.message.startswith("MemoryError")
    assert "each process may have 500 MiB of memory" in outcome.end.error.message
    assert outcome.end.session_usable
    assert (await runner.run("print('fine')", "python")).end.status == SUCCEED


async def test_python_that_can_not_start_in_its_memory_is_told_of_the_limit(
    runner: RunnerClient,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="may have 16 MiB of memory") as error:
        await runner.open("python", options={"python.memory_limit": "16MiB"})
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_script_keeps_to_its_memory_with_all_that_it_starts(runner: RunnerClient) -> None:
    await runner.open("shell", options={"shell.memory_limit": "200MiB"})
    script = f"{shlex.quote(sys.executable)} -c '{HUNGRY}'"
    assert (await runner.run(script, "shell")).end.status == FAILED
    freed = await runner.run(script, "shell", options={"shell.memory_limit": "2GiB"})
    assert freed.end.status == SUCCEED
    assert (await runner.run(script, "shell")).end.status == FAILED


@pytest.mark.skipif(os.getuid() == 0, reason="root may lift every limit")
async def test_a_script_can_not_lift_its_limit(runner: RunnerClient) -> None:
    await runner.open("shell", options={"shell.memory_limit": "200MiB"})
    outcome = await runner.run("ulimit -d unlimited", "shell")
    assert outcome.end.status == FAILED


async def test_sql_keeps_to_its_memory_and_says_so(runner: RunnerClient) -> None:
    await runner.open("duckdb", options={"duckdb.memory_limit": "40MB", "duckdb.threads": "1"})
    outcome = await runner.run(
        "SET temp_directory = ''; CREATE TABLE t AS SELECT range, random() FROM range(50_000_000)",
        "sql",
    )
    assert outcome.end.status == FAILED
    assert outcome.end.error.code == ErrorCode.SQL_ERROR
    assert "Out of Memory" in outcome.end.error.message


async def test_sql_runs_on_so_many_threads(runner: RunnerClient) -> None:
    await runner.open("duckdb", options={"duckdb.threads": "3", "duckdb.memory_limit": "1GiB"})
    outcome = await runner.run("SELECT error(current_setting('threads')::VARCHAR)", "sql")
    assert "3" in outcome.end.error.message


@on_linux
async def test_python_runs_on_so_many_cores(runner: RunnerClient) -> None:
    await runner.open("python", options={"python.cores": "1"})
    assert "1 1" in (await runner.run(COUNT_CORES, "python")).log


@on_linux
async def test_a_script_runs_on_so_many_cores_and_the_next_one_on_all(
    runner: RunnerClient,
) -> None:
    await runner.open("shell")
    count = f"{shlex.quote(sys.executable)} -c 'import os; print(len(os.sched_getaffinity(0)))'"
    limited = await runner.run(count, "shell", options={"shell.cores": "1"})
    assert limited.log.splitlines()[0] == "1"
    free = await runner.run(count, "shell")
    assert free.log.splitlines()[0] == str(len(os.sched_getaffinity(0)))


async def test_a_script_has_variables_of_its_own(runner: RunnerClient) -> None:
    await runner.open("shell", environment={"PATH": os.environ["PATH"], "COLOUR": "red"})
    ours = await runner.run("echo $COLOUR", "shell", options={"env.COLOUR": "blue"})
    assert ours.log.splitlines()[0] == "blue"
    theirs = await runner.run("echo $COLOUR", "shell")
    assert theirs.log.splitlines()[0] == "red"


async def test_a_run_with_an_unknown_setting_is_refused_and_another_can_follow(
    runner: RunnerClient,
) -> None:
    await runner.open("shell")
    with pytest.raises(grpc.aio.AioRpcError, match="no runtime setting x; it has: env") as error:
        await runner.run("exit 0", "shell", options={"x": "1"})
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (await runner.run("exit 0", "shell")).end.status == SUCCEED
