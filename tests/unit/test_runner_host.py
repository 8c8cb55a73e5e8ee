"""The session that a runner hosts, while the runner ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from entrance_runner.engine import Engine, Report, RunRequest, Session, SessionContext
from entrance_runner.host import Host, WrongState
from entrance_runner.isolation import Policy
from entrance_runner.processes import Processes


class Idle(Session):
    """A session that is well and runs nothing."""

    async def run(self, request: RunRequest, report: Report) -> None:
        raise AssertionError

    async def interrupt(self) -> None:
        pass

    async def close(self) -> None:
        pass


class IdleEngine(Engine):
    """An engine of such sessions."""

    engine_type: ClassVar[str] = "idle"
    run_types: ClassVar[Sequence[str]] = ("sh",)
    description: ClassVar[str] = ""

    @classmethod
    def version(cls) -> str:
        return "1"

    async def open(self, context: SessionContext) -> Session:
        return Idle()


class SlowlyKilled:
    """Processes whose end takes its time."""

    confinement: Any = None
    can_spawn = True

    def __init__(self) -> None:
        self.begun, self.done = asyncio.Event(), asyncio.Event()

    async def kill(self) -> None:
        self.begun.set()
        await self.done.wait()


async def test_no_run_begins_in_a_session_that_is_being_closed(tmp_path: Path) -> None:
    processes = SlowlyKilled()
    async with asyncio.TaskGroup() as tasks:
        host = Host(
            tasks=tasks,
            processes=cast(Processes, processes),
            scratch=tmp_path,
            policy=Policy(),
            directory=tmp_path,
            lose=lambda: None,
            finder=lambda: [EntryPoint("idle", f"{__name__}:IdleEngine", "")],
        )
        await host.open(
            session_id="1",
            engine_type="idle",
            user="alice",
            working_directory=str(tmp_path),
            environment={},
            options={},
            secrets={},
        )
        closing = tasks.create_task(host.close())
        await processes.begun.wait()
        with pytest.raises(WrongState):
            host.start(RunRequest(run_id="1", code="", run_type="sh", result_directory=tmp_path))
        processes.done.set()
        await closing
