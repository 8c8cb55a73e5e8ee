"""`python -m tests.system.campaign --minutes 10`: a campaign, or the verdict on an old one."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.system.campaign.campaign import Settings, run
from tests.system.campaign.faults import WEIGHTS
from tests.system.campaign.history import History
from tests.system.campaign.installation import Size
from tests.system.campaign.validate import validate


def main() -> int:
    """Prints the closing lines; the exit status tells whether a rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="default: a random one")
    parser.add_argument("--users", type=int, default=46, help="stories at once")
    parser.add_argument("--faults", type=float, default=2.0, help="faults for each second")
    parser.add_argument(
        "--kinds",
        type=_kinds,
        default=(),
        metavar="KIND,KIND",
        help=f"faults to make, by default all: {', '.join(WEIGHTS)}",
    )
    parser.add_argument("--servers", type=int, default=1, help="several share a PostgreSQL")
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--report", type=Path, default=None, help="default: a new directory")
    parser.add_argument("--again", type=Path, default=None, help="a history.jsonl to judge again")
    arguments = parser.parse_args()
    if arguments.again is not None:
        violations = validate(History.load(arguments.again))
        print(*violations, f"violations: {len(violations)}", sep="\n")
        return bool(violations)
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    report = arguments.report or Path(tempfile.mkdtemp(prefix="entrance-report-"))
    print(f"seed {seed}, report in {report}", flush=True)
    size = Size(arguments.servers, arguments.gateways)
    settings = Settings(
        seed, arguments.minutes * 60, arguments.users, arguments.faults, size, arguments.kinds
    )
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # ends what runs
    verdict = asyncio.run(run(settings, report))
    print(*verdict.lines(), sep="\n")
    return bool(verdict.violations)


def _kinds(text: str) -> Sequence[str]:
    kinds = [kind.strip() for kind in text.split(",")]
    if unknown := [kind for kind in kinds if kind not in WEIGHTS]:
        raise argparse.ArgumentTypeError(f"no such fault: {', '.join(unknown)}")
    return kinds


if __name__ == "__main__":
    sys.exit(main())
