"""The pool outlives whatever goes wrong with a single session."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import grpc.aio
import psutil
import pytest

from entrance.engine.v1 import engine_pb2 as pb
from entrance.engine.v1 import engine_pb2_grpc
from entrance_server.changes import Changes
from entrance_server.domain.job import GroupKey
from entrance_server.engines.companions import Companions
from entrance_server.engines.connections import Connections
from entrance_server.engines.failures import SessionLost
from entrance_server.engines.launcher import LocalLauncher, RunnerProcess, start_of
from entrance_server.engines.pool import SessionPool
from entrance_server.engines.registry import EngineRegistry
from entrance_server.engines.session import EngineSession, SessionKey
from entrance_server.store import SqlStore


class BrokenLauncher:
    """A launcher that fails to collect a runner in a way that nobody foresaw."""

    def __init__(self) -> None:
        self.reaped = Changes()
        self.names: list[str] = []

    async def reap(self, runner: RunnerProcess) -> int | None:
        self.names.append(runner.session_id)
        self.reaped.bump()
        raise psutil.NoSuchProcess(runner.pid)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    async with SqlStore(f"sqlite:///{tmp_path / 'entrance.db'}") as store:
        yield store


@pytest.fixture
def launcher() -> BrokenLauncher:
    return BrokenLauncher()


@pytest.fixture
async def pool(
    store: SqlStore, launcher: BrokenLauncher, tmp_path: Path
) -> AsyncIterator[SessionPool]:
    async with SessionPool(
        owner="here:9104",
        launcher=cast(LocalLauncher, launcher),
        store=store,
        connections=Connections({}),
        companions=Companions(
            EngineRegistry([], aliases={}),
            directory=tmp_path / "companions",
            python_executable="",
            isolation="none",
        ),
        max_sessions=2,
        warm_runners=0,
        idle_timeout=60,
        open_timeout=1,
        visit_interval=60,
    ) as pool:
        yield pool


def a_session(directory: Path, *, pid: int = 2**22 + 1, name: str = "0" * 16) -> EngineSession:
    runner = RunnerProcess(name, f"unix:{directory}/{name}", pid, 0.0, str(directory))
    return EngineSession(runner, key=SessionKey(GroupKey("alice", "IDE", "shell"), {}))


async def test_a_session_that_does_not_end_in_order_does_not_end_the_pool(
    pool: SessionPool, launcher: BrokenLauncher, tmp_path: Path
) -> None:
    session = a_session(tmp_path)
    pool.adopt(session, busy=False)
    await launcher.reaped.beyond(0)
    assert session.key is not None
    assert await pool.take_idle(session.key) is None


async def test_sessions_of_a_lost_server_that_are_too_many_end_where_nothing_runs(
    pool: SessionPool, launcher: BrokenLauncher, tmp_path: Path
) -> None:
    sessions = [a_session(tmp_path, name=f"{number:016}") for number in range(3)]
    for session in sessions[:2]:
        pool.adopt(session, busy=True)
    pool.adopt(sessions[2], busy=False)
    await launcher.reaped.beyond(0)
    assert launcher.names == [sessions[2].session_id]


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.describe(),
        lambda session: session.interrupt("run", grace=1),
        lambda session: session.pause("run"),
        lambda session: session.resume("run"),
        lambda session: session.ask_to_close(),
        lambda session: anext(session.events("run", after_seq=0)),
    ],
)
async def test_a_call_at_a_session_that_was_let_go_of_finds_it_lost(
    tmp_path: Path, call: Callable[[EngineSession], Awaitable[object]]
) -> None:
    gone = RunnerProcess("0" * 16, f"unix:{tmp_path}/socket", 2**22 + 1, 0.0, str(tmp_path))
    session = EngineSession(gone)
    await session.detach()
    with pytest.raises(SessionLost):
        await call(session)


class Silent(engine_pb2_grpc.EngineServiceServicer):
    """A runner that answers nothing."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def Interrupt(self, request: Any, context: Any) -> pb.InterruptResponse:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
async def silent(tmp_path: Path) -> AsyncIterator[Silent]:
    runner, server = Silent(), grpc.aio.server()  # type: ignore[abstract]
    engine_pb2_grpc.add_EngineServiceServicer_to_server(runner, server)
    server.add_insecure_port(f"unix:{tmp_path}/{'0' * 16}")
    await server.start()
    yield runner
    await server.stop(None)


async def test_a_call_under_way_at_a_session_that_is_let_go_of_finds_it_lost(
    tmp_path: Path, silent: Silent
) -> None:
    session = a_session(tmp_path)
    calling = asyncio.create_task(session.interrupt("run", grace=1))
    await silent.asked.wait()
    await session.detach()
    with pytest.raises(SessionLost):
        await calling


async def test_who_is_cancelled_in_a_call_at_a_session_is_not_told_that_it_is_lost(
    tmp_path: Path, silent: Silent
) -> None:
    session = a_session(tmp_path)
    calling = asyncio.create_task(session.interrupt("run", grace=1))
    await silent.asked.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await session.detach()


def test_a_runner_that_ends_while_it_is_being_killed_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(process: psutil.Process, **_: object) -> list[psutil.Process]:
        raise psutil.NoSuchProcess(process.pid)

    signals: list[int] = []
    monkeypatch.setattr(psutil.Process, "children", ended)
    monkeypatch.setattr(psutil.Process, "send_signal", lambda _, number: signals.append(number))
    pid = os.getpid()
    RunnerProcess("0" * 16, "unix:/nowhere", pid, start_of(pid), "/nowhere").kill_tree()
    assert len(signals) == 1
