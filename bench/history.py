"""A store with a long history and a long queue, as if a service had worked for years."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from bench import processes
from entrance.client import Client, JobStatus

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"


def fill(data_dir: Path, environment: Mapping[str, str], *, ended: int, waiting: int) -> None:
    """Copies one job that has ended, and one that waits, as often as asked."""
    with (
        processes.service_at(data_dir, environment) as service,
        Client(service.target, token=service.token) as client,
    ):
        done = client.submit("true", engine="shell")
        done.wait(check=True)
        running = client.submit("sleep 3600", engine="shell")
        next(job for job in running.watch() if job.status is JobStatus.RUNNING)
        queued = client.submit("true", engine="shell")
        running.pause()  # so that the next server has it still
    copy(data_dir, done.task_id, ended)
    copy(data_dir, queued.task_id, waiting)


def copy(data_dir: Path, task_id: int, count: int) -> None:
    """Copies a job in the store of a server that does not run."""
    with closing(sqlite3.connect(data_dir / "entrance.db")) as store, store:
        _copy(store, task_id, count)


def _copy(store: sqlite3.Connection, task_id: int, count: int) -> None:
    columns = [row[1] for row in store.execute("PRAGMA table_info(jobs)")]
    copied = ", ".join(one for one in columns if one not in ("task_id", "request_id"))
    store.execute(
        f"{_NUMBERS} INSERT INTO jobs ({copied}) SELECT {copied} FROM jobs, n WHERE task_id = ?",
        (count, task_id),
    )
