"""Recovery: how long a server needs after a crash until it has all jobs again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import history, processes
from bench.figures import Figure, Series, Target
from entrance.client import Client, JobHandle, JobStatus

RUNNING = 100
QUEUED = 10_000
TICK = 1  # seconds between two lines of a running job
FULL = {
    "ENTRANCE_MAX_RUNNING": str(RUNNING),
    "ENTRANCE_GROUP_RUNNING": str(RUNNING),
    "ENTRANCE_GROUP_WAITING": str(QUEUED),
    "ENTRANCE_MAX_SESSIONS": str(RUNNING),
    "ENTRANCE_WARM_RUNNERS": "0",
}


def restart(rounds: int) -> Sequence[Figure]:
    """Seconds from the start after a crash until each running job's missed lines are shown."""
    attached, serving, empty = list[float](), list[float](), list[float]()
    with processes.directory() as root:
        jobs = _fill(root / "data")
        for number in range(rounds):
            empty.append(_start_of_empty(root / f"empty{number}"))
            time.sleep(2 * TICK)  # in which each job prints something that no server sees
            times = _recover(root / "data", jobs)
            serving.append(times[0])
            attached.append(times[1])
    return [
        Figure(
            what=f"After kill -9: start, {RUNNING} running jobs attached, {QUEUED:,} queued",
            unit="s",
            ours=Series(attached),
            reference_name="start of an empty server",
            reference=Series(empty),
            target=Target(),
            remarks=[f"calls are answered after {Series(serving).median:.2f} s"],
        )
    ]


def _fill(data_dir: Path) -> Mapping[int, int]:
    """A server that crashed with jobs running and queued: the running ones, and their next line."""
    code = f"while :; do echo tick; sleep {TICK}; done"
    with (
        processes.server_at(data_dir, FULL) as service,
        Client(service.target, token=service.token) as client,
    ):
        jobs = [client.submit(code, engine="shell") for _ in range(RUNNING)]
        for job in jobs:
            next(one for one in job.watch() if one.status is JobStatus.RUNNING)
        queued = client.submit("true", engine="shell")
        shown = {job.task_id: _next_line(job) for job in jobs}
        os.kill(service.server_pid, signal.SIGKILL)
    history.copy(history.sqlite_at(data_dir), queued.task_id, QUEUED - 1)
    return shown


def _recover(data_dir: Path, shown: Mapping[int, int]) -> tuple[float, float]:
    """Seconds until a server answers, and until each job has a line beyond those shown before."""
    begun = time.perf_counter()
    with (
        processes.server_at(data_dir, FULL) as service,
        Client(service.target, token=service.token) as client,
    ):
        serving = time.perf_counter() - begun
        for task_id, line in shown.items():
            next(iter(client.job(task_id).follow_log(line)))
        attached = time.perf_counter() - begun
        os.kill(service.server_pid, signal.SIGKILL)
    return serving, attached


def _next_line(job: JobHandle) -> int:
    return job.log(1, 10_000).next_line


def _start_of_empty(data_dir: Path) -> float:
    begun = time.perf_counter()
    with processes.server_at(data_dir, FULL):
        return time.perf_counter() - begun
