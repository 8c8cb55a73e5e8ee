"""What the service uses while nobody asks."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench import cpu, processes
from bench.figures import Figure, Series, bound
from bench.rows.status import running_job
from entrance.client import Client

JOBS = 1_000
SECONDS = 10.0
SETTINGS = {
    "ENTRANCE_MAX_RUNNING": "1",
    "ENTRANCE_GROUP_RUNNING": "1",
    "ENTRANCE_GROUP_WAITING": str(JOBS),
}


def queued_jobs(rounds: int) -> Sequence[Figure]:
    """The part of a core that server and gateway use with many jobs queued."""
    with processes.service(SETTINGS) as service, running_job(service):
        with Client(service.target, token=service.token) as client:
            for _ in range(JOBS):
                client.submit("sleep 3600", engine="shell", run_type="shell")
        programs = [service.server_pid, service.gateway_pid]
        used = [_percent(programs) for _ in range(rounds)]
    what = f"Idle, {JOBS:,} jobs queued: server, gateway and runners"
    return [bound(what, "% of a core", Series(used), 1)]


def _percent(programs: Sequence[int]) -> float:
    """Of a core, by the programs and all that they started."""
    before = cpu.seconds(programs)
    time.sleep(SECONDS)
    return (cpu.seconds(programs) - before) / SECONDS * 100
