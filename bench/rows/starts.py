"""How long it takes until a command answers and until the service does."""

from __future__ import annotations

import subprocess
import sys
import time

from bench import processes
from bench.figures import Figure, Series, Target

RUNS = 5


def help_text(rounds: int) -> Figure:
    """Milliseconds for `entrance --help`."""
    ours, reference = [], []
    for _ in range(rounds):
        ours.append(_timed([sys.executable, "-m", "entrance.cli", "--help"]))
        reference.append(_timed([sys.executable, "-c", "pass"]))
    return Figure(
        what="`entrance --help`",
        unit="ms",
        ours=Series(ours),
        reference_name="`python -c pass`",
        reference=Series(reference),
        target=Target(at_most_more=150),
    )


def serve(rounds: int) -> Figure:
    """Milliseconds until server and gateway answer."""
    ours, reference = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        with processes.service():
            ours.append((time.perf_counter() - begun) * 1000)
        reference.append(_timed([sys.executable, "-c", "pass"]))
    return Figure(
        what="Server and gateway until they answer",
        unit="ms",
        ours=Series(ours),
        reference_name="`python -c pass`",
        reference=Series(reference),
        target=Target(at_most_more=1_500),
    )


def _timed(command: list[str]) -> float:
    begun = time.perf_counter()
    for _ in range(RUNS):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) / RUNS * 1000
