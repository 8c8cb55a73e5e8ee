"""Submit: what it costs to be durable, alone, with others, and with a long history."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import history, load, processes
from bench.figures import Figure, Series, Target
from bench.processes import Service
from bench.rows.status import constant_server
from entrance.client import Client

COMMITS = 300
SECONDS = "3"
# one job runs and the rest wait, so that only accepting is measured
HELD = {"ENTRANCE_MAX_RUNNING": "1", "ENTRANCE_GROUP_WAITING": "10000000"}
HISTORY = 1_000_000
QUEUE = 10_000


def one_client(rounds: int) -> Figure:
    """Milliseconds for one submit after the other."""
    ours, reference = [], []
    with processes.service(HELD) as service, constant_server() as constant:
        _block(service)
        for _ in range(rounds):
            ours.append(1000 / _submit(service, connections=1))
            commit = 1000 / _commits_per_second(service.data_dir)
            answer = load.run("grpc-status", "--port", str(constant), "--connections", "1")
            reference.append(commit + 1000 / answer.per_second)
    return Figure(
        what="Submit, acknowledged durable, one client",
        unit="ms",
        ours=Series(ours),
        reference_name="one durable SQLite commit + the constant handler",
        reference=Series(reference),
        target=Target(at_most=1.5),
    )


def many_clients(rounds: int) -> Figure:
    """Submits per second of 64 clients."""
    ours, reference = [], []
    with processes.service(HELD) as service:
        _block(service)
        for _ in range(rounds):
            ours.append(_submit(service, connections=64))
            reference.append(_commits_per_second(service.data_dir))
    return Figure(
        what="Submit, 64 clients",
        unit="submits/s",
        ours=Series(ours),
        reference_name="durable SQLite commits one after the other",
        reference=Series(reference),
        target=Target(at_least=10),
    )


def long_history(rounds: int) -> Figure:
    """Status, list and submit with many jobs in the history and in the queue: the worst of them."""
    with processes.service(HELD) as empty, tempfile.TemporaryDirectory() as name:
        data_dir = Path(name) / "data"
        history.fill(data_dir, HELD, ended=HISTORY, waiting=QUEUE)
        with processes.service_at(data_dir, HELD) as full:
            figures = {
                what: ([once(full) for _ in range(rounds)], [once(empty) for _ in range(rounds)])
                for what, once in _READS.items()
            }
    worst = max(
        figures, key=lambda what: Series(figures[what][0]).median / Series(figures[what][1]).median
    )
    remarks = [
        f"{what}: {Series(ours).median:.2f} ms beside {Series(reference).median:.2f} ms"
        for what, (ours, reference) in figures.items()
    ]
    return Figure(
        what=f"{worst} with {HISTORY:,} jobs in the history, {QUEUE:,} in the queue",
        unit="ms",
        ours=Series(figures[worst][0]),
        reference_name="the same on an empty store",
        reference=Series(figures[worst][1]),
        target=Target(at_most=1.2),
        remarks=remarks,
    )


def _milliseconds(call: Callable[[Client], object]) -> Callable[[Service], float]:
    def measure(service: Service) -> float:
        with Client(service.target, token=service.token) as client:
            call(client)
            begun = time.perf_counter()
            for _ in range(COMMITS):
                call(client)
            return (time.perf_counter() - begun) / COMMITS * 1000

    return measure


def _first_page(client: Client) -> object:
    jobs = client.list_jobs()
    return [job for _, job in zip(range(50), jobs, strict=False)]


def _status(client: Client) -> object:
    return client.job(1).status()


_READS = {
    "list": _milliseconds(_first_page),
    "submit": _milliseconds(lambda client: client.submit("true", engine="shell", run_type="shell")),
    "status": _milliseconds(_status),
}


def _submit(service: Service, *, connections: int) -> float:
    arguments = ["--port", str(service.grpc_port), "--token", service.token, "--seconds", SECONDS]
    return load.run("submit", *arguments, "--connections", str(connections)).per_second


def _block(service: Service) -> None:
    with Client(service.target, token=service.token) as client:
        client.submit("sleep 3600", engine="shell", priority=100)


def _commits_per_second(directory: Path) -> float:
    """Durable commits of one row each, on the disk that the service uses."""
    file = directory / "reference.db"
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, code TEXT)")
        begun = time.perf_counter()
        for _ in range(COMMITS):
            connection.execute("INSERT INTO jobs (code) VALUES ('true')")
        return COMMITS / (time.perf_counter() - begun)
    finally:
        connection.close()
