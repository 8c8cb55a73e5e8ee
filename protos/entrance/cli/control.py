"""`entrance kill`, `pause` and `resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrance.cli import arguments, problems
from entrance.cli.exits import ExitCode
from entrance.cli.invocation import Invocation

if TYPE_CHECKING:
    from entrance.cli.output import Output
    from entrance.client import KillOutcome


def kill(invocation: Invocation, ids: arguments.JobIds) -> ExitCode | None:
    """End jobs with all their processes.

    One that can't be ended does not stop the others; the exit code is then 1.
    """
    with invocation.client() as client:
        outcomes = client.kill_jobs(ids)
    for outcome in outcomes:
        _tell(invocation.output, outcome)
    return ExitCode.FAILED if any(outcome.error for outcome in outcomes) else None


def pause(invocation: Invocation, id: arguments.JobId) -> None:
    """Hold a waiting job, or freeze a running one."""
    with invocation.client() as client:
        job = client.job(id)
        job.pause()
    _tell_paused(invocation.output, job.exec_id, job.task_id, True)


def resume(invocation: Invocation, id: arguments.JobId) -> None:
    """Let a paused job go on."""
    with invocation.client() as client:
        job = client.job(id)
        job.resume()
    _tell_paused(invocation.output, job.exec_id, job.task_id, False)


def _tell(output: Output, outcome: KillOutcome) -> None:
    error = outcome.error
    if output.json:
        told = {
            "id": outcome.id,
            "execID": outcome.exec_id or None,
            "taskID": outcome.task_id or None,
        }
        output.object({**told, "error": error and problems.details(error)})
    elif error is None:
        output.line(f"killed {outcome.id}")
    else:
        output.error(f"{outcome.id}: {problems.sentence(error)}", {})


def _tell_paused(output: Output, exec_id: str, task_id: int, paused: bool) -> None:
    if output.json:
        output.object({"execID": exec_id, "taskID": task_id, "paused": paused})
    else:
        output.line(f"{'paused' if paused else 'resumed'} {task_id}")
