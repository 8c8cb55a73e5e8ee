"""Random jobs whose every line, row and ending is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from tests.system.campaign.history import Plan

ENDLESS = "endless"
SLOW = "slow"


class Planner:
    """Draws jobs from a seed."""

    def __init__(self, random: Random, users: tuple[str, ...]) -> None:
        self._random = random
        self._users = users
        self._count = 0

    def next(self) -> Plan:
        """The next job that somebody wants to run."""
        self._count += 1
        make = self._random.choices(list(KINDS), weights=list(KINDS.values()))[0]
        return make(self._random, f"t{self._count}", self._random.choice(self._users))


def _lines(random: Random, token: str, user: str) -> Plan:
    count = random.randint(1, 40)
    code = f'for i in $(seq 1 {count}); do echo "{token} line $i"; done'
    return _shell(token, user, "lines", code, _numbered(token, count))


def _slow(random: Random, token: str, user: str) -> Plan:
    count, pause = random.randint(5, 30), random.choice((0.02, 0.05, 0.1, 0.2))
    code = (
        f'for i in $(seq 1 {count}); do echo "{token} line $i @$EPOCHREALTIME"; sleep {pause}; done'
    )
    return _shell(token, user, SLOW, code, _numbered(token, count))


def _endless(random: Random, token: str, user: str) -> Plan:
    stubborn = "trap '' TERM; " if random.random() < 0.3 else ""
    child = "(sleep 5000 &) ; " if random.random() < 0.5 else "sleep 5000 & "
    loop = (
        f'i=0; while true; do i=$((i+1)); echo "{token} line $i @$EPOCHREALTIME"; sleep 0.2; done'
    )
    code = f'{stubborn}echo "{token} pid"; echo "pid $$"; {child}{loop}'
    lines = (f"{token} pid", *_numbered(token, 5000))
    return _shell(token, user, ENDLESS, code, lines, status="Cancelled")


def _failing(random: Random, token: str, user: str) -> Plan:
    count, status = random.randint(0, 10), random.randint(1, 100)
    code = f'for i in $(seq 1 {count}); do echo "{token} line $i"; done; exit {status}'
    error = f"exit status {status}"
    return _shell(
        token, user, "failing", code, _numbered(token, count), status="Failed", error=error
    )


def _rows(random: Random, token: str, user: str) -> Plan:
    sets = [
        (random.randint(1, 300), random.randint(1, 10_000)) for _ in range(random.randint(1, 3))
    ]
    code = "\n".join(
        f"SELECT i, i * {factor} AS v, '{token}' AS t FROM range({count}) r(i) ORDER BY i;"
        for count, factor in sets
    )
    rows = tuple(
        tuple((str(i), str(i * factor), token) for i in range(count)) for count, factor in sets
    )
    return Plan(token, user, "rows", "duckdb", "sql", code, rows=rows)


def _wrong_sql(_: Random, token: str, user: str) -> Plan:
    code = f"SELECT * FROM missing_{token}"
    return Plan(
        token, user, "wrong sql", "duckdb", "sql", code, status="Failed", error=f"missing_{token}"
    )


def _python(random: Random, token: str, user: str) -> Plan:
    count = random.randint(1, 20)
    code = f"for i in range(1, {count} + 1):\n    print('{token} line', i)"
    return Plan(token, user, "python", "python", "python", code, lines=_numbered(token, count))


def _shell(
    token: str,
    user: str,
    kind: str,
    code: str,
    lines: tuple[str, ...],
    *,
    status: str = "Succeed",
    error: str = "",
) -> Plan:
    return Plan(token, user, kind, "shell", "shell", code, lines, status=status, error=error)


def _numbered(token: str, count: int) -> tuple[str, ...]:
    return tuple(f"{token} line {number}" for number in range(1, count + 1))


KINDS: Mapping[Callable[[Random, str, str], Plan], int] = {
    _lines: 36,
    _slow: 18,
    _endless: 8,
    _failing: 8,
    _rows: 20,
    _wrong_sql: 5,
    _python: 3,
}
