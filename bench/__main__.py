"""`make bench`: measures, prints the table, and writes docs/performance.md with a plot."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType

from bench import report
from bench.figures import Failure, Figure
from bench.table import ROWS

TIME_LIMIT = 300  # seconds for a row


def main() -> int:
    """Measures the rows that are asked for; 1 when one of them could not be measured."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", default="", help="rows by name, joined by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name] or list(ROWS)
    if unknown := sorted(set(names) - set(ROWS)):
        parser.error(f"no such rows: {', '.join(unknown)}; there are: {', '.join(ROWS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    begun = time.monotonic()
    outcomes = list[Figure | Failure]()
    for name in names:
        for outcome in _measure(name, options.rounds):
            outcomes.append(outcome)
            print(report.line(outcome), flush=True)
    if not options.only:
        report.write(outcomes, timedelta(seconds=time.monotonic() - begun), options.docs)
    return int(any(isinstance(outcome, Failure) for outcome in outcomes))


def _measure(name: str, rounds: int) -> Sequence[Figure | Failure]:
    """A row's figures; one that fails costs the others nothing."""
    begun = time.monotonic()
    try:
        with _time_limit(TIME_LIMIT):
            return ROWS[name](rounds)
    except Exception as error:  # whatever it is, the other rows are measured
        return [Failure(name, f"{type(error).__name__}: {error}".splitlines()[0])]
    finally:
        print(f"[{name}: {time.monotonic() - begun:.0f} s]", file=sys.stderr, flush=True)


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    sys.exit(main())
