"""`entrance log` and `progress`: what a job says and how far it is, now or until its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from entrance.cli import arguments
from entrance.cli.exits import ExitCode
from entrance.cli.invocation import Invocation

if TYPE_CHECKING:
    from entrance.client import Client, LogLine

LINES_PER_PAGE = 10_000


def log(
    invocation: Invocation,
    id: arguments.JobId,
    follow: arguments.Follow = False,
    from_line: Annotated[
        int, typer.Option(callback=arguments.fits(64), help="The first line, from 1.")
    ] = 1,
    level: Annotated[
        list[str] | None,
        typer.Option(metavar="LEVEL", help="Only info, warn or error lines. Repeatable."),
    ] = None,
) -> ExitCode | None:
    """Print a job's log.

    It is what there is now, or with -f every line until the job has ended. The exit code then tells
    how it ended, and Ctrl-C leaves the job as it is.
    """
    from entrance.cli import attach
    from entrance.cli.views import view_for
    from entrance.client import LogLevel

    levels = arguments.choices("--level", LogLevel, level)
    if follow:
        return attach.follow_log(invocation, id, from_line, levels)
    with invocation.client() as client, view_for(invocation.output, bar=False) as view:
        for line in _lines_so_far(client, id, from_line):
            if not levels or line.level in levels:
                view.line(line)
    return None


def progress(
    invocation: Invocation,
    id: arguments.JobId,
    follow: arguments.Follow = False,
) -> ExitCode | None:
    """Print how far a job is.

    It is how it is now, or with -f every change until the job has ended. The exit code then tells
    how it ended, and Ctrl-C leaves the job as it is.
    """
    from entrance.cli import attach
    from entrance.cli.views import view_for

    if follow:
        return attach.follow_progress(invocation, id)
    with invocation.client() as client:
        view_for(invocation.output, bar=False).progress(client.job(id).progress())
    return None


def _lines_so_far(client: Client, id: str, from_line: int) -> Iterator[LogLine]:
    job = client.job(id)
    page = job.log(from_line, LINES_PER_PAGE)
    while page.lines:
        yield from page.lines
        page = job.log(page.next_line, LINES_PER_PAGE)
