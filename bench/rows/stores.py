"""PostgreSQL as the store: beside SQLite, and with several servers on one."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import Figure, Series, Target
from bench.installations import (
    ONE_SUBMITS,
    SHORT_JOBS,
    STATUS,
    STATUS_ANYWHERE,
    SUBMITS,
    Installation,
    compare,
)
from tests.support.postgres import running_postgres

SERVERS = (1, 2, 3)


def postgres(rounds: int) -> Sequence[Figure]:
    """One server on PostgreSQL, whose commits wait for the disk, and one on SQLite."""
    with running_postgres(durable=True) as database:
        installations = [Installation("postgresql", database=database), Installation("sqlite")]
        measured = compare(rounds, installations, (ONE_SUBMITS, SUBMITS, STATUS, SHORT_JOBS))
    return [
        _figure(f"PostgreSQL: {name}", ours, "SQLite", reference)
        for name, (ours, reference) in measured.items()
    ]


def scaling(rounds: int) -> Sequence[Figure]:
    """Two and three servers on one PostgreSQL, beside one."""
    with running_postgres(durable=True) as database:
        installations = [Installation(f"of_{n}", n, database) for n in SERVERS]
        measured = compare(rounds, installations, (SUBMITS, STATUS, STATUS_ANYWHERE, SHORT_JOBS))
    return [
        _figure(f"{servers} servers: {name}", ours, "1 server", one)
        for name, (one, *several) in measured.items()
        for servers, ours in zip(SERVERS[1:], several, strict=True)
    ]


def _figure(
    what: str, ours: Sequence[float], reference_name: str, reference: Sequence[float]
) -> Figure:
    return Figure(
        what=what,
        unit="/s",
        ours=Series(ours),
        reference_name=reference_name,
        reference=Series(reference),
        target=Target(),
    )
