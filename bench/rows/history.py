"""Calls on a store with a long history and a long queue, beside one that is nearly empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from bench import history, processes
from bench.figures import Figure, Series, Target
from bench.rounds import alternate, milliseconds
from bench.rows.submits import HELD
from entrance.client import Client
from tests.support.postgres import running_postgres

ENDED = 1_000_000
WAITING = 10_000
PAGE = 50
FEW = 100  # so that a page is as long on both
CALLS = 500

Calls = Mapping[str, Callable[[], object]]


def long(rounds: int) -> Sequence[Figure]:
    """Status, list and submit."""
    return _beside_empty(rounds, ("", ""))


def long_on_postgresql(rounds: int) -> Sequence[Figure]:
    """The same where servers share PostgreSQL."""
    with running_postgres(durable=True) as database:
        urls = database.new_database(), database.new_database()
        return _beside_empty(rounds, urls, prefix="PostgreSQL: ")


def _beside_empty(rounds: int, urls: tuple[str, str], *, prefix: str = "") -> Sequence[Figure]:
    with (
        processes.directory() as root,
        _filled(root / "full", urls[0], ENDED, WAITING) as full,
        _filled(root / "empty", urls[1], FEW, FEW) as empty,
    ):
        return [_figure(prefix + what, full[what], empty[what], rounds) for what in full]


def _figure(
    what: str, full: Callable[[], object], empty: Callable[[], object], rounds: int
) -> Figure:
    ours, reference = alternate(
        rounds, partial(milliseconds, full, CALLS), partial(milliseconds, empty, CALLS)
    )
    return Figure(
        what=f"{what}, {ENDED:,} jobs in the history, {WAITING:,} in the queue",
        unit="ms",
        ours=Series(ours),
        reference_name=f"with {FEW} and {FEW}",
        reference=Series(reference),
        target=Target(at_most=1.2),
    )


@contextmanager
def _filled(data_dir: Path, url: str, ended: int, waiting: int) -> Iterator[Calls]:
    environment = dict(HELD)
    if url:
        environment |= processes.on_postgresql(url, data_dir / "shared")
    jobs = history.fill(data_dir, environment, ended=ended, waiting=waiting)
    with (
        processes.server_at(data_dir, environment) as service,
        Client(service.target, token=service.token) as client,
    ):
        yield {
            "Status of a job that waits": client.job(jobs.waiting).status,
            "Status of a job that has ended": client.job(jobs.ended).status,
            f"ListJobs, a page of {PAGE}": lambda: list(
                islice(client.list_jobs(page_size=PAGE), PAGE)
            ),
            "Submit": lambda: client.submit("true", engine="shell", run_type="shell"),
        }
