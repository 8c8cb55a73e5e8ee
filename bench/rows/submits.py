"""Submit: what it costs to be durable, alone and with others."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from bench import load, processes
from bench.figures import Figure, Series, Target
from bench.processes import Service
from bench.rounds import alternate, milliseconds
from bench.rows import status

COMMITS = 300
SECONDS = 3.0
# one job runs and the rest wait, so that only accepting is measured
HELD = {"ENTRANCE_MAX_RUNNING": "1", "ENTRANCE_GROUP_WAITING": "10000000"}


def one_client(rounds: int) -> Sequence[Figure]:
    """Milliseconds for one submit after the other."""
    with (
        processes.service(HELD) as service,
        processes.reference(status.CONSTANT) as constant,
        status.running_job(service),
    ):

        def reference() -> float:
            answer = load.run("grpc-status", [constant], ids=["1"], connections=1, seconds=SECONDS)
            return 1000 / answer.per_second + _commit(service.data_dir)

        ours, bare = alternate(
            rounds, lambda: 1000 / per_second([service], connections=1), reference
        )
    return [
        Figure(
            what="Submit, acknowledged durable, one client",
            unit="ms",
            ours=Series(ours),
            reference_name="one durable SQLite commit + the constant handler",
            reference=Series(bare),
            target=Target(at_most=1.5),
        )
    ]


def many_clients(rounds: int) -> Sequence[Figure]:
    """Submits per second of 64 clients."""
    with processes.service(HELD) as service, status.running_job(service):
        ours, bare = alternate(
            rounds,
            partial(per_second, [service], connections=64),
            lambda: 1000 / _commit(service.data_dir),
        )
    return [
        Figure(
            what="Submit, 64 clients",
            unit="submits/s",
            ours=Series(ours),
            reference_name="durable SQLite commits one after the other",
            reference=Series(bare),
            target=Target(at_least=10),
        )
    ]


def per_second(services: Sequence[Service], *, connections: int) -> float:
    """Submits that are acknowledged, by as many clients as there are connections."""
    ports = [service.grpc_port for service in services]
    token = services[0].token
    rate = load.run("submit", ports, token=token, connections=connections, seconds=SECONDS)
    return rate.per_second


def _commit(directory: Path) -> float:
    """Milliseconds for a durable commit of one row, on the disk that the service uses."""
    with closing(sqlite3.connect(directory / "reference.db", isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("PRAGMA synchronous=FULL")
        store.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, code TEXT)")
        insert = partial(store.execute, "INSERT INTO jobs (code) VALUES ('true')")
        return milliseconds(insert, COMMITS)
