"""Status: what an authenticated, checked, measured answer costs beside a constant one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from bench import envoy, load, processes
from bench.figures import Figure, Series, Target
from bench.load import Rate
from bench.processes import Service
from bench.rounds import alternate
from entrance.client import Client, JobStatus

CONSTANT = "bench.references.constant_server"


@contextmanager
def running_job(service: Service) -> Iterator[str]:
    """The taskID of a job that runs as long as the service."""
    with Client(service.target, token=service.token) as client:
        job = client.submit("sleep 3600", engine="shell", run_type="shell")
        next(one for one in job.watch() if one.status is JobStatus.RUNNING)
        yield str(job.task_id)


def by_grpc(rounds: int) -> Sequence[Figure]:
    """Requests per second, and the slowest of a hundred."""
    with processes.reference(CONSTANT) as constant:
        ours, bare = _rounds("grpc-status", constant, rounds)
    name = "grpc.aio handler that returns a constant"
    return [
        _rate("gRPC Status, 64 at once", ours, name, bare, at_least=0.85),
        Figure(
            what="gRPC Status, 64 at once, 99th percentile",
            unit="ms",
            ours=Series([rate.p99_ms for rate in ours]),
            reference_name=name,
            reference=Series([rate.p99_ms for rate in bare]),
            target=Target(at_most=1 / 0.85),
        ),
    ]


def by_rest(rounds: int) -> Sequence[Figure]:
    """Through the gateway, beside a route that makes one unary call."""
    with (
        processes.reference(CONSTANT) as constant,
        processes.reference(
            "bench.references.two_hop", "--target", f"{processes.HOST}:{constant}"
        ) as plain,
    ):
        ours, bare = _rounds("rest-status", plain, rounds)
    name = "Starlette route and one unary call to the constant handler"
    return [_rate("REST status, 64 connections", ours, name, bare, at_least=3.0)]


def by_rest_beside_envoy(rounds: int) -> Sequence[Figure]:
    """Through the gateway, beside Envoy's transcoder."""
    with processes.reference(CONSTANT) as constant, envoy.transcoder(constant) as port:
        ours, bare = _rounds("rest-status", port, rounds)
    name = "Envoy's gRPC-JSON transcoder before the constant handler"
    return [_rate("REST status, 64 connections", ours, name, bare, at_least=2.5)]


def _rounds(kind: str, reference: int, rounds: int) -> Sequence[Sequence[Rate]]:
    with processes.service() as service, running_job(service) as id:
        port = service.http_port if kind == "rest-status" else service.grpc_port
        return alternate(
            rounds,
            partial(load.run, kind, [port], ids=[id], token=service.token),
            partial(load.run, kind, [reference], ids=[id]),
        )


def _rate(
    what: str, ours: Sequence[Rate], name: str, reference: Sequence[Rate], *, at_least: float
) -> Figure:
    return Figure(
        what=what,
        unit="requests/s",
        ours=Series([rate.per_second for rate in ours]),
        reference_name=name,
        reference=Series([rate.per_second for rate in reference]),
        target=Target(at_least=at_least),
    )
