"""`make bench`: measures, prints the table, and writes docs/performance.md with a plot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import report
from bench.figures import Figure
from bench.rows import jobs, logs, memory, recovery, results, starts, status, submits

Row = Callable[[int], Figure]

ROWS: Mapping[str, Row] = {
    "grpc-status": status.by_grpc,
    "grpc-status-p99": status.p99_by_grpc,
    "rest-status": status.by_rest,
    "rest-status-envoy": status.by_rest_beside_envoy,
    "submit-one": submits.one_client,
    "submit-many": submits.many_clients,
    "echo": jobs.echo,
    "echo-jupyter": jobs.cell_beside_jupyter,
    "short-jobs": jobs.short_jobs,
    "log": logs.followed_log,
    "followers": logs.followers,
    "idle-followers": logs.idle_followers,
    "result": results.streamed_result,
    "deep-page": results.deep_page,
    "history": submits.long_history,
    "idle": jobs.idle,
    "recovery": recovery.restart,
    "memory": memory.queued_jobs,
    "memory-followers": memory.followers,
    "help": starts.help_text,
    "serve": starts.serve,
}
SLOW = frozenset({"log", "history", "memory", "memory-followers"})  # one round is long enough


def main() -> int:
    """Measures the rows that are asked for; 1 when one of them could not be measured."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", default="", help="rows by name, joined by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name] or list(ROWS)
    figures, failed = list[Figure](), False
    for name in names:
        try:
            figures.append(ROWS[name](1 if name in SLOW else options.rounds))
            print(report.line(figures[-1]), *figures[-1].remarks, sep="\n  ", flush=True)
        except Exception as error:
            failed = True
            print(f"{name}: not measured: {error!r}", file=sys.stderr)
    if not options.only:
        report.write(figures, options.docs)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
