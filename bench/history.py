"""A store with a long history and a long queue, as if a service had worked for years."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from entrance.client import Client, JobStatus

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"


@dataclass(frozen=True, slots=True)
class Filled:
    """One job of those that have ended, and one of those that wait."""

    ended: int
    waiting: int


def fill(data_dir: Path, environment: Mapping[str, str], *, ended: int, waiting: int) -> Filled:
    """Copies one job that has ended, and one that waits for another that runs, as often as asked.

    The next server on the data directory has all of them.
    """
    with (
        processes.server_at(data_dir, environment) as service,
        Client(service.target, token=service.token) as client,
    ):
        done = client.submit("true", engine="shell")
        done.wait(check=True)
        running = client.submit("sleep 3600", engine="shell")
        next(job for job in running.watch() if job.status is JobStatus.RUNNING)
        queued = client.submit("true", engine="shell")
    copy(data_dir, done.task_id, ended)
    copy(data_dir, queued.task_id, waiting)
    return Filled(done.task_id, queued.task_id)


def copy(data_dir: Path, task_id: int, count: int) -> None:
    """Copies a job in the store of a server that does not run.

    What its files take counts as measured, as it is within a minute of a job's end.
    """
    with closing(sqlite3.connect(data_dir / "entrance.db")) as store, store:
        store.execute(
            "UPDATE jobs SET stored_bytes = 0 WHERE task_id = ? AND end_time IS NOT NULL",
            (task_id,),
        )
        columns = [row[1] for row in store.execute("PRAGMA table_info(jobs)")]
        copied = ", ".join(one for one in columns if one not in ("task_id", "request_id"))
        store.execute(
            f"{_NUMBERS} INSERT INTO jobs ({copied}) "
            f"SELECT {copied} FROM jobs, n WHERE task_id = ?",
            (count, task_id),
        )
