"""Many short jobs at once, beside a bare pool of as many workers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bench import processes
from bench.figures import Figure, Series, Target
from bench.rounds import alternate
from entrance.client import Client

JOBS = 200
WORKERS = 8
SETTINGS = {"ENTRANCE_MAX_RUNNING": str(WORKERS), "ENTRANCE_GROUP_RUNNING": str(WORKERS)}


def beside_pool(rounds: int) -> Sequence[Figure]:
    """Jobs per second, all submitted at once."""
    with (
        processes.service(SETTINGS) as service,
        Client(service.target, token=service.token) as client,
    ):
        per_second([client], WORKERS * 2)
        ours, reference = alternate(rounds, lambda: per_second([client]), _pool_per_second)
    return [
        Figure(
            what=f"{JOBS} short jobs at once, {WORKERS} at a time",
            unit="jobs/s",
            ours=Series(ours),
            reference_name=f"a bare pool of {WORKERS} workers that start processes",
            reference=Series(reference),
            target=Target(at_least=0.7),
        )
    ]


def per_second(clients: Sequence[Client], count: int = JOBS) -> float:
    """Jobs from the first submit to the last end, submitted by the clients in turn."""
    begun = time.perf_counter()
    jobs = [
        clients[number % len(clients)].submit("true", engine="shell", run_type="shell")
        for number in range(count)
    ]
    for job in jobs:
        job.wait(check=True)
    return count / (time.perf_counter() - begun)


def _pool_per_second() -> float:
    begun = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda _: subprocess.run(["bash", "-c", "true"], check=True), range(JOBS)))
    return JOBS / (time.perf_counter() - begun)
