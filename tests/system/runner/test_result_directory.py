"""Where a runner puts results, and what it needs for that before a run begins."""

from pathlib import Path

import grpc
import pytest

from entrance.engine.v1 import engine_pb2 as pb
from tests.support.mounts import read_only
from tests.system.runner.client import SUCCEED, RunnerClient


async def test_a_run_is_refused_without_a_directory_for_its_results(runner: RunnerClient) -> None:
    await runner.open("duckdb")
    run = pb.NewRun(run_id="x", code="SELECT 1", run_type="sql", result_directory="nowhere")
    with pytest.raises(grpc.aio.AioRpcError, match="must be an existing directory") as error:
        await runner.begin(run)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_run_waits_for_a_directory_that_can_not_be_written_now(
    runner: RunnerClient,
) -> None:
    await runner.open("duckdb")
    run = runner.new_run("SELECT 1", "sql", run_id="x")
    with read_only(Path(run.result_directory)):
        with pytest.raises(grpc.aio.AioRpcError, match="on a read-only file system") as error:
            await runner.begin(run)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    await runner.begin(run)
    assert (await runner.follow("x")).end.status == SUCCEED


async def test_an_engine_without_results_needs_no_directory(runner: RunnerClient) -> None:
    await runner.open("shell")
    await runner.begin(pb.NewRun(run_id="x", code="echo a", run_type="sh"))
    assert (await runner.follow("x")).log == "a\n"
