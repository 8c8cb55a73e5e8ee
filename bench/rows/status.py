"""Status: what an authenticated, checked, measured answer costs beside a constant one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import envoy, load, processes
from bench.figures import Figure, Series, Target
from bench.processes import Service
from entrance.client import Client

CONNECTIONS = 64


@contextmanager
def constant_server() -> Iterator[int]:
    """The port of a handler that returns a constant."""
    with reference("bench.references.constant_server") as port:
        yield port


@contextmanager
def reference(module: str, *arguments: str) -> Iterator[int]:
    """The port of a reference that runs in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        ready = Path(name) / "ready"
        with processes.process(["-m", module, *arguments, "--ready-file", str(ready)]):
            yield processes.wait_for_port(ready)


@contextmanager
def running_job(service: Service) -> Iterator[str]:
    """The taskID of a job that runs as long as the block."""
    with Client(service.target, token=service.token) as client:
        job = client.submit("sleep 600", engine="shell")
        next(one for one in job.watch() if one.status == "Running")
        yield str(job.task_id)
        job.kill()


def _grpc(rounds: int) -> tuple[list[load.Rate], list[load.Rate]]:
    ours, bare = [], []
    with (
        processes.service() as service,
        constant_server() as constant,
        running_job(service) as id,
    ):
        for _ in range(rounds):
            ours.append(_load("grpc-status", service.grpc_port, id, service.token))
            bare.append(_load("grpc-status", constant, id))
    return ours, bare


def by_grpc(rounds: int) -> Figure:
    """Requests per second."""
    ours, bare = _grpc(rounds)
    return Figure(
        what="gRPC Status, 64 at once",
        unit="requests/s",
        ours=Series([rate.per_second for rate in ours]),
        reference_name="grpc.aio handler that returns a constant",
        reference=Series([rate.per_second for rate in bare]),
        target=Target(at_least=0.85),
    )


def p99_by_grpc(rounds: int) -> Figure:
    """The slowest of a hundred."""
    ours, bare = _grpc(rounds)
    return Figure(
        what="gRPC Status, 64 at once, 99th percentile",
        unit="ms",
        ours=Series([rate.p99_ms for rate in ours]),
        reference_name="grpc.aio handler that returns a constant",
        reference=Series([rate.p99_ms for rate in bare]),
        target=Target(at_most=1 / 0.85),
    )


def by_rest(rounds: int) -> Figure:
    """Through the gateway, beside a route that makes one unary call."""
    with (
        constant_server() as constant,
        reference("bench.references.two_hop", "--target", f"127.0.0.1:{constant}") as plain,
    ):
        ours, bare = _rest(rounds, plain)
    return Figure(
        what="REST status, 64 connections",
        unit="requests/s",
        ours=ours,
        reference_name="Starlette route and one unary call to the constant handler",
        reference=bare,
        target=Target(at_least=3.0),
    )


def by_rest_beside_envoy(rounds: int) -> Figure:
    """Through the gateway, beside Envoy's transcoder."""
    with constant_server() as constant, envoy.transcoder(constant) as port:
        ours, bare = _rest(rounds, port)
    return Figure(
        what="REST status, 64 connections",
        unit="requests/s",
        ours=ours,
        reference_name="Envoy's gRPC-JSON transcoder before the constant handler",
        reference=bare,
        target=Target(at_least=2.5),
    )


def _rest(rounds: int, reference_port: int) -> tuple[Series, Series]:
    ours, bare = [], []
    with processes.service() as service, running_job(service) as id:
        for _ in range(rounds):
            ours.append(_load("rest-status", service.http_port, id, service.token).per_second)
            bare.append(_load("rest-status", reference_port, id).per_second)
    return Series(ours), Series(bare)


def _load(kind: str, port: int, id: str, token: str = "") -> load.Rate:
    credentials = ("--token", token) if token else ()
    return load.run(kind, "--port", str(port), "--id", id, *credentials)
