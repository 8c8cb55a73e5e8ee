"""A store with a long history and a long queue, as if a service had worked for years."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, inspect, text

from bench import processes
from entrance.client import Client, JobStatus

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
_MEASURED = text(
    "UPDATE jobs SET stored_bytes = 0 WHERE task_id = :task_id AND end_time IS NOT NULL"
)


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
    store_url = environment.get("ENTRANCE_STORE_URL") or sqlite_at(data_dir)
    copy(store_url, done.task_id, ended)
    copy(store_url, queued.task_id, waiting)
    return Filled(done.task_id, queued.task_id)


def sqlite_at(data_dir: Path) -> str:
    """The URL of the store that a server has by itself."""
    return f"sqlite:///{data_dir / 'entrance.db'}"


def copy(store_url: str, task_id: int, count: int) -> None:
    """Copies a job in a store that no server uses.

    What its files take counts as measured, and the database as looked over by itself, as both are
    within a minute or so of a job's end.
    """
    engine = create_engine(store_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as store:
        store.execute(_MEASURED, {"task_id": task_id})
        columns = [column["name"] for column in inspect(store).get_columns("jobs")]
        copied = ", ".join(one for one in columns if one not in ("task_id", "request_id"))
        store.execute(
            text(
                f"INSERT INTO jobs ({copied}) {_NUMBERS} "
                f"SELECT {copied} FROM jobs, n WHERE task_id = :task_id"
            ),
            {"task_id": task_id, "count": count},
        )
        store.execute(text("ANALYZE"))
    engine.dispose()
