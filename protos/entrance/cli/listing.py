"""`entrance status`, `list` and `job`: what is known of jobs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from entrance.cli import arguments, times
from entrance.cli.invocation import Invocation

if TYPE_CHECKING:
    from entrance.cli.output import Output
    from entrance.client import Job


def status(invocation: Invocation, ids: arguments.JobIds) -> None:
    """Print the status of jobs.

    For one job it is the status alone, for several each id with its status.
    """
    output = invocation.output
    with invocation.client() as client:
        for id in ids:
            job = client.job(id)
            found = job.status()
            if output.json:
                output.object({"execID": job.exec_id, "taskID": job.task_id, "status": found})
            else:
                output.line(found if len(ids) == 1 else f"{id}\t{found}")


def list_jobs(
    invocation: Invocation,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="Jobs in this status, such as Running. Repeatable."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(help="Whose jobs. Default: your own; everybody's for an administrator."),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Jobs of this engine.")] = None,
    creator: Annotated[str | None, typer.Option(help="Jobs of this application.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, callback=arguments.fits(64), help="Jobs at most.")
    ] = 50,
) -> None:
    """List jobs, newest first."""
    from entrance.cli import shapes
    from entrance.client import JobStatus

    output = invocation.output
    with invocation.client() as client:
        found = client.list_jobs(
            statuses=arguments.choices("--status", JobStatus, status),
            execute_user=user,
            engine_type=engine,
            creator=creator,
            page_size=min(limit, 1_000),
        )
        jobs = itertools.islice(found, limit)
        if output.json:
            for job in jobs:
                output.object(shapes.job(job))
        else:
            _table(output, jobs)


def job(invocation: Invocation, id: arguments.JobId) -> None:
    """Print everything about a job."""
    from entrance.cli import shapes

    with invocation.client() as client:
        found = client.job(id).get()
    output = invocation.output
    if output.json:
        output.object(shapes.job(found))
        return
    for name, value in shapes.job(found).items():
        text = "" if value is None or name == "code" else _text(value)
        if text:
            output.line(f"{name + ':':<13}{text}")
    output.line("code:")
    output.text(found.code.rstrip("\n"))


def _table(output: Output, jobs: Iterable[Job]) -> None:
    headers = ["TASK ID", "STATUS", "DONE", "ENGINE", "USER", "CREATOR", "CREATED", "TOOK"]
    output.table(
        headers,
        [
            [
                str(job.task_id),
                f"{job.status} (paused)" if job.paused else job.status,
                f"{job.progress:.0%}",
                job.engine_type,
                job.execute_user,
                job.creator,
                times.local(job.create_time),
                _took(job),
            ]
            for job in jobs
        ],
    )


def _took(job: Job) -> str:
    if job.start_time is None:
        return ""
    end = job.end_time or datetime.now(UTC)
    return f"{(end - job.start_time).total_seconds():.1f} s"


def _text(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    texts = {name: _text(each) for name, each in value.items()}
    return ", ".join(f"{name}={text}" for name, text in texts.items() if text)
