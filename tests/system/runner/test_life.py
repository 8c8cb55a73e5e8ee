"""How a runner starts and ends."""

import os
import signal
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import psutil
import pytest

from entrance.engine.v1 import engine_pb2 as pb
from tests.system.runner.client import FAILED, RunnerClient, started_runner

# A shell and a grandchild in a session of its own.
SLEEPING = "(setsid sleep 1000 &); touch ready; sleep 1000"


async def sleeping(runner: RunnerClient) -> list[psutil.Process]:
    """The processes of a run that would not end by itself."""
    await runner.open("shell")
    await runner.start(SLEEPING, "sh", run_id="run")
    await runner.until(lambda: (runner.work / "ready").exists() and len(runner.below()) >= 3)
    return runner.below()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running()]


async def test_a_runner_waits_without_an_engine(runner: RunnerClient) -> None:
    await runner.until(runner.socket.exists)
    description = await runner.describe()
    assert description == pb.DescribeResponse(pid=runner.host.pid)
    with pytest.raises(grpc.aio.AioRpcError, match="open a session before a run") as error:
        await runner.start("true", "sh")
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_the_socket_is_its_owners_alone(runner: RunnerClient) -> None:
    await runner.until(runner.socket.exists)
    assert stat.S_IMODE(runner.socket.stat().st_mode) == 0o600


async def test_a_session_is_described(runner: RunnerClient) -> None:
    opened = await runner.open("shell")
    assert opened.engine_version
    description = await runner.describe()
    assert (description.session_id, description.engine_type) == ("session", "shell")


async def test_a_second_session_is_refused(runner: RunnerClient) -> None:
    await runner.open("shell")
    with pytest.raises(grpc.aio.AioRpcError, match="has the session session already") as error:
        await runner.open("shell")
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("engine_type", "options", "text"),
    [
        ("hive", {}, "there is no engine 'hive'; installed are: .*duckdb, python, shell"),
        ("shell", {"x": "1"}, "the engine shell has no startup setting x; it has: shell.cores, "),
        ("duckdb", {"duckdb.threads": "x"}, "duckdb.threads must be a whole number"),
        ("duckdb", {"duckdb.memory_limit": "much"}, "duckdb.memory_limit must be a size such as"),
    ],
)
async def test_what_the_session_can_not_be_opened_with_is_refused_and_another_can_be(
    runner: RunnerClient, engine_type: str, options: dict[str, str], text: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=text) as error:
        await runner.open(engine_type, options=options)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert not runner.below()
    await runner.open("shell")


async def test_a_database_that_can_not_be_opened_makes_the_engine_unavailable(
    runner: RunnerClient,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=r"nowhere/x\.db can't be opened") as error:
        await runner.open("duckdb", options={"duckdb.database": "nowhere/x.db"})
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_close_ends_the_runner_and_whatever_runs(runner: RunnerClient) -> None:
    processes = await sleeping(runner)
    assert await runner.close() == 0
    assert not alive(processes)
    assert not runner.socket.exists()


@pytest.mark.parametrize("killed", ["host", "guard"])
async def test_a_runner_that_is_killed_leaves_nothing_behind(tmp_path: Path, killed: str) -> None:
    async with started_runner(tmp_path, exit_status=-signal.SIGKILL) as runner:
        processes = [*await sleeping(runner), runner.host]
        events = runner.events("run")
        await anext(events)
        if killed == "host":
            runner.host.kill()
        else:
            runner.process.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            assert not [event async for event in events if event.HasField("end")]
        assert await runner.process.wait() == -signal.SIGKILL
        await runner.until(lambda: not alive(processes))
        await runner.until(lambda: not runner.socket.exists())


async def test_who_follows_a_run_while_the_session_closes_sees_its_end(
    runner: RunnerClient,
) -> None:
    await sleeping(runner)
    events = runner.events("run")
    await anext(events)
    await runner.stub.Close(pb.CloseRequest())
    last = [event async for event in events][-1]
    assert (last.end.status, last.end.error.code) == (FAILED, 40003)
    assert await runner.process.wait() == 0


async def test_sigterm_ends_the_runner_and_whatever_runs(runner: RunnerClient) -> None:
    processes = await sleeping(runner)
    runner.process.terminate()
    assert await runner.process.wait() == 0
    assert not alive(processes)


async def test_a_runner_without_a_server_ends_with_whatever_runs(tmp_path: Path) -> None:
    async with started_runner(tmp_path, orphan_timeout=0.5) as runner:
        processes = await sleeping(runner)
        await runner.channel.close()
        assert await runner.process.wait() == 0
        assert not alive(processes)


async def test_nothing_is_left_in_the_temporary_directory(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="entrance-test-") as temporary:  # short, as sockets are in it
        for engine in ("shell", "python", "duckdb"):
            async with started_runner(tmp_path, environment={"TMPDIR": temporary}) as runner:
                await runner.open(engine)
                assert os.listdir(temporary)
                await runner.close()
        assert os.listdir(temporary) == []
