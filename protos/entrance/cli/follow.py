"""`entrance log` and `progress`: what a job says and how far it is, now or until its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from entrance.cli import arguments
from entrance.cli.exits import ExitCode
from entrance.cli.invocation import Invocation

if TYPE_CHECKING:
    from entrance.cli.views import View
    from entrance.client import AsyncJobHandle, Client, Job, LogLevel, LogLine

FLUSH_INTERVAL = 0.1  # seconds
LINES_PER_PAGE = 10_000


def log(
    invocation: Invocation,
    id: arguments.JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")
    ] = False,
    from_line: Annotated[int, typer.Option(help="The first line, from 1.")] = 1,
    level: Annotated[
        list[str] | None,
        typer.Option(metavar="LEVEL", help="Only info, warn or error lines. Repeatable."),
    ] = None,
) -> ExitCode | None:
    """Print a job's log.

    It is what there is now, or with -f every line until the job has ended. The exit code then tells
    how it ended, and Ctrl-C leaves the job as it is.
    """
    from entrance.cli.views import view_for
    from entrance.client import LogLevel

    levels = arguments.choices("--level", LogLevel, level)
    if follow:
        return follow_log(invocation, id, from_line, levels)
    with invocation.client() as client, view_for(invocation.output, bar=False) as view:
        for line in _lines_so_far(client, id, from_line):
            if not levels or line.level in levels:
                view.line(line)
    return None


def progress(
    invocation: Invocation,
    id: arguments.JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show each change until the job has ended.")
    ] = False,
) -> ExitCode | None:
    """Print how far a job is.

    It is how it is now, or with -f every change until the job has ended. The exit code then tells
    how it ended, and Ctrl-C leaves the job as it is.
    """
    from entrance.cli.views import view_for

    async def show(job: AsyncJobHandle) -> None:
        with view_for(invocation.output, bar=True) as view:
            async for change in job.follow_progress():
                view.progress(change)

    if follow:
        return _attached(invocation, id, show)
    with invocation.client() as client:
        view_for(invocation.output, bar=False).progress(client.job(id).progress())
    return None


def follow_log(
    invocation: Invocation, id: str, from_line: int = 1, levels: Sequence[LogLevel] = ()
) -> ExitCode:
    """Shows a job's log until the job has ended; answers with the exit code for its end."""
    from entrance.cli.views import view_for

    async def show(job: AsyncJobHandle) -> None:
        with view_for(invocation.output, bar=True) as view:
            async with _moving(job, view):
                async for line in job.follow_log(from_line, levels):
                    view.line(line)

    return _attached(invocation, id, show)


def _attached(
    invocation: Invocation, id: str, show: Callable[[AsyncJobHandle], Awaitable[None]]
) -> ExitCode:
    """Shows a job until its end; Ctrl-C and SIGTERM end the showing alone."""
    from entrance.cli.views import exit_code, view_for

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
    from entrance.client import EntranceError

    with suppress(EntranceError):  # the log tells it too, and decides what to do
        async for change in job.follow_progress():
            view.progress(change)


def _lines_so_far(client: Client, id: str, from_line: int) -> Iterator[LogLine]:
    job = client.job(id)
    page = job.log(from_line, LINES_PER_PAGE)
    while page.lines:
        yield from page.lines
        page = job.log(page.next_line, LINES_PER_PAGE)
