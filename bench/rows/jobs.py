"""Jobs from submit to end, beside the bare process, Jupyter and a pool of processes."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from bench import jupyter, processes
from bench.figures import Figure, Series, Target
from entrance.client import Client

WARM = 5  # runs before the first that counts
RUNS = 40
JOBS = 200
WORKERS = 8
IDLE_SECONDS = 5.0


def echo(rounds: int) -> Figure:
    """Milliseconds from submit to the end of `echo`, in a session that is there."""
    ours, reference = [], []
    with processes.service() as service, Client(service.target, token=service.token) as client:
        _timed(lambda: _run(client, "echo hello", "shell"), WARM)
        for _ in range(rounds):
            ours.append(_timed(lambda: _run(client, "echo hello", "shell"), RUNS))
            reference.append(
                _timed(
                    lambda: subprocess.run(
                        ["bash", "-c", "echo hello"], check=True, stdout=subprocess.DEVNULL
                    ),
                    RUNS,
                )
            )
    return Figure(
        what="Submit to the end of `echo`, warm",
        unit="ms",
        ours=Series(ours),
        reference_name="subprocess.run of the same",
        reference=Series(reference),
        target=Target(at_most_more=15),
    )


def cell_beside_jupyter(rounds: int) -> Figure:
    """Milliseconds from submit to the end of a Python cell."""
    ours, reference = [], []
    with (
        processes.service() as service,
        Client(service.target, token=service.token) as client,
        jupyter.kernel() as execute,
    ):
        _timed(lambda: _run(client, "print('hello')", "python"), WARM)
        _timed(lambda: execute("print('hello')"), WARM)
        for _ in range(rounds):
            ours.append(_timed(lambda: _run(client, "print('hello')", "python"), RUNS))
            reference.append(_timed(lambda: execute("print('hello')"), RUNS))
    return Figure(
        what="Submit to the end of a Python cell, warm",
        unit="ms",
        ours=Series(ours),
        reference_name="Jupyter Kernel Gateway",
        reference=Series(reference),
        target=Target(at_most=1),
    )


def short_jobs(rounds: int) -> Figure:
    """Jobs per second, all submitted at once."""
    ours, reference = [], []
    environment = {"ENTRANCE_MAX_RUNNING": str(WORKERS), "ENTRANCE_GROUP_RUNNING": str(WORKERS)}
    with (
        processes.service(environment) as service,
        Client(service.target, token=service.token) as client,
    ):
        _all(client, WORKERS * 2)
        for _ in range(rounds):
            ours.append(JOBS / _all(client, JOBS))
            reference.append(JOBS / _pool())
    return Figure(
        what=f"{JOBS} short jobs at once, {WORKERS} at a time",
        unit="jobs/s",
        ours=Series(ours),
        reference_name=f"a bare pool of {WORKERS} workers that start processes",
        reference=Series(reference),
        target=Target(at_least=0.7),
    )


def idle(rounds: int) -> Figure:
    """The part of a core that a server uses with many jobs queued and nobody asking."""
    environment = {"ENTRANCE_MAX_RUNNING": "1", "ENTRANCE_GROUP_WAITING": "100000"}
    with processes.service(environment) as service:
        with Client(service.target, token=service.token) as client:
            for _ in range(1_000):
                client.submit("sleep 3600", engine="shell", run_type="shell")
        server = psutil.Process(service.server_pid)
        server.cpu_percent()
        used = [server.cpu_percent(IDLE_SECONDS) for _ in range(rounds)]
    return Figure(
        what="Idle: 1,000 jobs queued, nobody asking",
        unit="% of a core",
        ours=Series(used),
        reference_name="one percent",
        reference=Series([1.0]),
        target=Target(at_most=1),
    )


def _run(client: Client, code: str, engine: str) -> None:
    client.submit(code, engine=engine, run_type=engine).wait(check=True)


def _timed(call: object, times: int) -> float:
    if not callable(call):
        raise TypeError
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun) / times * 1000


def _all(client: Client, count: int) -> float:
    begun = time.perf_counter()
    jobs = [client.submit("true", engine="shell", run_type="shell") for _ in range(count)]
    for job in jobs:
        job.wait(check=True)
    return time.perf_counter() - begun


def _pool() -> float:
    begun = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda _: subprocess.run(["bash", "-c", "true"], check=True), range(JOBS)))
    return time.perf_counter() - begun
