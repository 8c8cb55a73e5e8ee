"""A run of a session, and what ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from entrance.engine.v1 import engine_pb2 as pb
from entrance_runner.engine import Report, RunRequest, Session
from entrance_runner.errors import ErrorCode, RunFailed
from entrance_runner.isolation import Confinement
from entrance_runner.output import OutputPipe
from entrance_runner.processes import Processes
from entrance_runner.run import Run

DEADLINE = 30.0  # seconds
DIED = RunFailed(ErrorCode.ENGINE_DIED, "the engine's process ended")


class Code(Session):
    """A session whose code ends when it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.interrupting = asyncio.Event()
        self.interrupted = asyncio.Event()

    async def run(self, request: RunRequest, report: Report) -> None:
        report.begun()
        self.begun.set()
        await self.may_end.wait()

    async def interrupt(self) -> None:
        self.interrupting.set()
        await self.interrupted.wait()

    async def close(self) -> None:
        pass


class Dying(Code):
    """A session that is held, and whose engine dies meanwhile."""

    async def run(self, request: RunRequest, report: Report) -> None:
        await super().run(request, report)
        raise DIED

    async def hold(self) -> bool:
        return True

    async def go_on(self) -> None:
        raise DIED


class Broken(Code):
    """A session that loses hold of its code."""

    async def run(self, request: RunRequest, report: Report) -> None:
        raise ValueError("an answer that can't be read")


class Killing:
    """Processes whose forced end takes its time; what a run leaves behind is none.

    `acts` are what else was done with them, in order.
    """

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.done = asyncio.Event()
        self.acts: list[str] = []

    async def survey(self) -> set[Any]:
        return set()

    async def kill(self, *, keep: set[Any] | None = None) -> None:
        if keep is None:
            self.begun.set()
            await self.done.wait()
        else:
            self.acts.append("end what is left")

    async def freeze(self) -> None:
        self.acts.append("freeze")

    def thaw(self) -> None:
        self.acts.append("thaw")


class Unconfined:
    """A confinement that leaves results where they are asked for."""

    @contextlib.asynccontextmanager
    async def results(self, run_id: str, directory: Path) -> AsyncIterator[Path]:
        yield directory


@pytest.fixture
def output() -> Iterator[OutputPipe]:
    pipe = OutputPipe()
    yield pipe
    pipe.close()


@pytest.fixture
def code() -> Code:
    return Code()


@pytest.fixture
def killing() -> Killing:
    return Killing()


def run_in(session: Session, killing: Killing, output: OutputPipe, directory: Path) -> Run:
    return Run(
        RunRequest(run_id="1", code="", run_type="sh", result_directory=directory, options={}),
        session,
        output,
        cast(Processes, killing),
        cast(Confinement, Unconfined()),
    )


@pytest.fixture
def run(code: Code, killing: Killing, output: OutputPipe, tmp_path: Path) -> Run:
    return run_in(code, killing, output, tmp_path)


async def told(run: Run) -> list[pb.Event]:
    """What the run has told by now: it had every turn that it can have without its gates."""
    for _ in range(100):
        await asyncio.sleep(0)
    return await run.events.after(0, run.events.take_over()) if run.events.last_seq else []


async def test_its_end_is_told_when_nothing_kills_its_processes_any_more(
    run: Run, code: Code, killing: Killing
) -> None:
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        tasks.create_task(run.execute())
        await code.begun.wait()
        tasks.create_task(run.interrupt(grace=0))
        await killing.begun.wait()
        code.may_end.set()
        assert not await told(run)
        killing.done.set()
    assert [event.HasField("end") for event in await told(run)] == [True]


async def test_its_end_is_told_when_nothing_interrupts_its_code_any_more(
    run: Run, code: Code
) -> None:
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        tasks.create_task(run.execute())
        await code.begun.wait()
        tasks.create_task(run.interrupt(grace=DEADLINE))
        await code.interrupting.wait()
        code.may_end.set()
        assert not await told(run)
        code.interrupted.set()
    assert [event.HasField("end") for event in await told(run)] == [True]


async def test_code_that_is_over_is_not_interrupted(run: Run, code: Code) -> None:
    async with asyncio.timeout(DEADLINE):
        code.may_end.set()
        await run.execute()
        await run.interrupt(grace=DEADLINE)
    assert not code.interrupting.is_set()


async def test_one_whose_engine_dies_while_it_is_paused_tells_that_and_all_that_was_printed(
    killing: Killing, output: OutputPipe, tmp_path: Path
) -> None:
    code = Dying()
    run = run_in(code, killing, output, tmp_path)
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        tasks.create_task(run.execute())
        await run.pause()
        os.write(output.writer, b"the last words\n")
        code.may_end.set()
    log, end = await told(run)
    assert log.log.text.startswith("the last words\n")
    assert end.end.error.code == ErrorCode.ENGINE_DIED


async def test_nothing_that_is_paused_goes_on_before_it_is_ended(
    run: Run, code: Code, killing: Killing
) -> None:
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        tasks.create_task(run.execute())
        await run.pause()
        code.may_end.set()
    assert killing.acts == ["freeze", "end what is left", "thaw"]


async def test_a_session_that_lost_hold_of_the_code_is_not_used_again(
    killing: Killing, output: OutputPipe, tmp_path: Path
) -> None:
    run = run_in(Broken(), killing, output, tmp_path)
    async with asyncio.timeout(DEADLINE):
        await run.execute()
    end = (await told(run))[-1].end
    assert end.error.code == ErrorCode.INTERNAL
    assert not end.session_usable
