"""One server, or several on one store, and what they do in a second."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import load, processes
from bench.processes import Service
from bench.rounds import alternate
from bench.rows import short_jobs, submits
from bench.rows.status import running_job
from entrance.client import Client
from tests.support.postgres import Postgres

SECONDS = 2.0
JOBS = 100

ONE_SUBMITS = "Submit, one client"
SUBMITS = "Submit, 64 clients"
STATUS = "gRPC Status, 64 at once, each server about its own job"
STATUS_ANYWHERE = "gRPC Status, 64 at once, each server about jobs of all"
SHORT_JOBS = f"short jobs, {short_jobs.WORKERS} at a time in all"

Measures = Mapping[str, Callable[[], float]]  # by what is measured; calls or jobs per second


@dataclass(frozen=True, slots=True)
class Installation:
    """What is started: so many servers on a database of their own, or one on SQLite."""

    name: str
    servers: int = 1
    database: Postgres | None = None

    @contextmanager
    def accepting(self, root: Path) -> Iterator[Measures]:
        """Calls, while one job runs on each server and all others wait."""
        with self._started(root, submits.HELD) as services, ExitStack() as stack:
            ids = [stack.enter_context(running_job(service)) for service in services]
            ports, token = [service.grpc_port for service in services], services[0].token

            def status(*, anywhere: bool) -> float:
                rate = load.run(
                    "grpc-status", ports, ids=ids, token=token, seconds=SECONDS, anywhere=anywhere
                )
                return rate.per_second

            yield {
                ONE_SUBMITS: partial(submits.per_second, services, connections=1),
                SUBMITS: partial(submits.per_second, services, connections=64),
                STATUS: partial(status, anywhere=False),
                STATUS_ANYWHERE: partial(status, anywhere=True),
            }

    @contextmanager
    def running(self, root: Path) -> Iterator[Measures]:
        """Whole jobs, submitted to the servers in turn."""
        with self._started(root, short_jobs.SETTINGS) as services, ExitStack() as stack:
            token = services[0].token
            clients = [stack.enter_context(Client(one.target, token=token)) for one in services]
            short_jobs.per_second(clients, short_jobs.WORKERS * 2)
            yield {SHORT_JOBS: partial(short_jobs.per_second, clients, JOBS)}

    @contextmanager
    def _started(self, root: Path, settings: Mapping[str, str]) -> Iterator[Sequence[Service]]:
        environment = dict(settings)
        if self.database:
            url = self.database.new_database()
            environment |= processes.on_postgresql(url, root / self.name)
        with ExitStack() as stack:
            yield [
                stack.enter_context(
                    processes.server_at(root / f"{self.name}_{number}", environment)
                )
                for number in range(self.servers)
            ]


def compare(
    rounds: int, installations: Sequence[Installation], names: Collection[str]
) -> Mapping[str, Sequence[Sequence[float]]]:
    """What each installation does, by name of what is measured, in alternating rounds."""
    measured = {}
    for begin in (Installation.accepting, Installation.running):
        with processes.directory() as root, ExitStack() as stack:
            measures = [stack.enter_context(begin(one, root)) for one in installations]
            for name in (name for name in names if name in measures[0]):
                measured[name] = alternate(rounds, *(one[name] for one in measures))
    return measured
