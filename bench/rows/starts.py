"""How long it takes until a command answers and until the service does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench import processes
from bench.figures import Figure, Series, Target
from bench.rounds import alternate, milliseconds
from entrance.client.discovery import ENDPOINTS_FILE
from tests.support.waiting import until

RUNS = 5
ENTRANCE = str(Path(sys.executable).with_name("entrance"))
PASS = (sys.executable, "-c", "pass")


def help_text(rounds: int) -> Sequence[Figure]:
    """Milliseconds for `entrance --help`."""
    ours, reference = alternate(rounds, partial(_run, ENTRANCE, "--help"), partial(_run, *PASS))
    return [_figure("`entrance --help`", ours, reference, 150)]


def serve(rounds: int) -> Sequence[Figure]:
    """Milliseconds until server and gateway answer."""
    ours, reference = alternate(rounds, _serve, partial(_run, *PASS))
    return [_figure("`entrance serve` until both health checks pass", ours, reference, 1_500)]


def _figure(
    what: str, ours: Sequence[float], reference: Sequence[float], at_most_more: float
) -> Figure:
    return Figure(
        what=what,
        unit="ms",
        ours=Series(ours),
        reference_name="`python -c pass`",
        reference=Series(reference),
        target=Target(at_most_more=at_most_more),
    )


def _run(*command: str) -> float:
    run = partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)
    return milliseconds(run, RUNS)


def _serve() -> float:
    ports = ("--grpc-port", "0", "--http-port", "0")
    with processes.directory() as root:
        begun = time.perf_counter()
        with processes.program([ENTRANCE, "serve", "--data-dir", str(root), *ports]):
            until((root / ENDPOINTS_FILE).exists, "server and gateway are healthy")
            return (time.perf_counter() - begun) * 1000
