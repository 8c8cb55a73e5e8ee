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

ENDED = 1_000_000
WAITING = 10_000
PAGE = 50
FEW = 100  # so that a page is as long on both
CALLS = 500

Calls = Mapping[str, Callable[[], object]]


def long(rounds: int) -> Sequence[Figure]:
    """Status, list and submit."""
    with (
        processes.directory() as root,
        _filled(root / "full", ENDED, WAITING) as full,
        _filled(root / "empty", FEW, FEW) as empty,
    ):
        return [_figure(what, full[what], empty[what], rounds) for what in full]


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
def _filled(data_dir: Path, ended: int, waiting: int) -> Iterator[Calls]:
    jobs = history.fill(data_dir, HELD, ended=ended, waiting=waiting)
    with (
        processes.server_at(data_dir, HELD) as service,
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
