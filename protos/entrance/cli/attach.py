"""Follows a job until its end or until the user leaves it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from entrance.cli.exits import ExitCode
from entrance.cli.invocation import Invocation
from entrance.cli.views import View, exit_code, view_for
from entrance.client import AsyncJobHandle, EntranceError, Job, LogLevel

FLUSH_INTERVAL = 0.1  # seconds


def follow_log(
    invocation: Invocation, id: str, from_line: int = 1, levels: Sequence[LogLevel] = ()
) -> ExitCode:
    """Shows a job's log until the job has ended; answers with the exit code for its end."""

    async def show(job: AsyncJobHandle) -> None:
        with view_for(invocation.output, bar=True) as view:
            async with _moving(job, view):
                async for line in job.follow_log(from_line, levels):
                    view.line(line)

    return _attached(invocation, id, show)


def follow_progress(invocation: Invocation, id: str) -> ExitCode:
    """Shows a job's progress until the job has ended; answers with the exit code for its end."""

    async def show(job: AsyncJobHandle) -> None:
        with view_for(invocation.output, bar=True) as view:
            async for change in job.follow_progress():
                view.progress(change)

    return _attached(invocation, id, show)


def _attached(
    invocation: Invocation, id: str, show: Callable[[AsyncJobHandle], Awaitable[None]]
) -> ExitCode:
    """Shows a job until its end; Ctrl-C and SIGTERM end the showing alone."""

    async def attach() -> Job:
        async with invocation.async_client() as client:
            job = await client.job(id)
            await show(job)
            return await job.get()

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        job = asyncio.run(attach())
    except KeyboardInterrupt:
        invocation.output.note(
            f"detached; the job goes on. entrance log -f {id} to come back, "
            f"entrance kill {id} to end it"
        )
        return ExitCode.DETACHED
    view_for(invocation.output, bar=False).ended(job)
    return exit_code(job)


@asynccontextmanager
async def _moving(job: AsyncJobHandle, view: View) -> AsyncIterator[None]:
    """Keeps a live view's lines and bar moving while the block runs."""
    if not view.live:
        yield
        return
    tasks = [asyncio.create_task(_flush(view)), asyncio.create_task(_measure(job, view))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _flush(view: View) -> None:
    while True:
        await asyncio.sleep(FLUSH_INTERVAL)
        view.flush()


async def _measure(job: AsyncJobHandle, view: View) -> None:
    with suppress(EntranceError):  # the log tells it too, and decides what to do
        async for change in job.follow_progress():
            view.progress(change)
