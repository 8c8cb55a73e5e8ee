"""Ray's Jobs API, the real one: a cluster of one node on loopback, with its dashboard."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ray.job_submission import JobSubmissionClient

from bench import processes
from tests.support.ports import free_ports
from tests.support.waiting import until

POLL = 0.02  # seconds; Ray's own following of a log looks once in a second
NODE = "127.0.0.2"  # Ray takes 127.0.0.1 for the address that others reach the machine at
PATIENCE = 180.0  # seconds; it starts a dozen programs
PORTS = (  # of its parts, which it else waits for until they have found one
    "--port",
    "--dashboard-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--metrics-export-port",
    "--ray-client-server-port",
    "--runtime-env-agent-port",
)


@contextmanager
def cluster() -> Iterator[Callable[[str], Iterator[str]]]:
    """A function that runs a command as a job, and gives what it prints until it has ended."""
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    with processes.directory() as root, (root / "ray.log").open("wb") as output:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
        command += ["--node-ip-address", NODE, "--dashboard-host", processes.HOST]
        command += ["--temp-dir", str(root / "ray"), "--disable-usage-stats"]
        for port in ports.items():
            command += port
        with processes.program(command, output):
            url = f"http://{processes.HOST}:{ports['--dashboard-port']}"
            client = until(lambda: _client(url), "Ray takes a job", patience=PATIENCE)
            yield partial(_follow, client)


def _client(url: str) -> JobSubmissionClient | None:
    try:
        client = JobSubmissionClient(url)
        client.submit_job(entrypoint="true")
    except (ConnectionError, RuntimeError):  # it does not answer yet, or has no agent to run jobs
        return None
    return client


def _follow(client: JobSubmissionClient, command: str) -> Iterator[str]:
    job = client.submit_job(entrypoint=command)
    said = 0
    while True:
        has_ended = client.get_job_status(job).is_terminal()
        said_now = client.get_job_logs(job)
        if said_now[said:]:
            yield said_now[said:]
            said = len(said_now)
        if has_ended:
            return
        time.sleep(POLL)
