"""A large log, from the job that prints it to a follower that has all of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import grpc

from bench import processes, resident
from bench.figures import Figure, Series, Target, bound
from bench.processes import Service
from bench.resident import Peaks
from bench.rounds import alternate
from entrance.client import Client
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

LINES = 10_000_000
LINE = "x" * 119
PRINT = f"yes {LINE} | head -n {LINES}"
MEGABYTES = LINES * (len(LINE) + 1) / 1e6
MOST = 200  # MB of server and of runner


def followed(rounds: int) -> Sequence[Figure]:
    """Megabytes per second, and the memory that it takes."""
    seen = list[Peaks]()
    with processes.service() as service, processes.reference("bench.references.pipe") as port:

        def ours() -> float:
            with resident.peaks(service.server_pid) as peaks:
                seconds = _follow(service)
            seen.append(peaks)
            return MEGABYTES / seconds

        rates, bare = alternate(rounds, ours, lambda: MEGABYTES / _drain(port))
    what = f"A job's {LINES:,} log lines ({MEGABYTES / 1000:.1f} GB)"
    return [
        Figure(
            what=f"{what} until a follower has all",
            unit="MB/s",
            ours=Series(rates),
            reference_name="the same bytes through a pipe, a file and a bare gRPC stream",
            reference=Series(bare),
            target=Target(at_least=0.6),
        ),
        bound(f"{what}: server's memory", "MB", Series([one.server / 1e6 for one in seen]), MOST),
        bound(f"{what}: runner's memory", "MB", Series([one.runner / 1e6 for one in seen]), MOST),
    ]


def _follow(service: Service) -> float:
    with (
        Client(service.target, token=service.token) as client,
        grpc.insecure_channel(service.target) as channel,
    ):
        begun = time.perf_counter()
        job = client.submit(PRINT, engine="shell", run_type="shell")
        stub = entrance_pb2_grpc.EntranceServiceStub(channel)
        request = pb.StreamLogRequest(id=str(job.task_id))
        responses = stub.StreamLog(request, metadata=service.metadata)
        count = sum(chunk.line_count for response in responses for chunk in response.chunks)
        took = time.perf_counter() - begun
    if count < LINES:
        raise RuntimeError(f"the follower has {count} lines")
    return took


def _drain(port: int) -> float:
    with grpc.insecure_channel(f"{processes.HOST}:{port}") as channel:
        stub = entrance_pb2_grpc.EntranceServiceStub(channel)
        begun = time.perf_counter()
        for _ in stub.StreamResult(pb.StreamResultRequest(id=PRINT)):
            pass
        return time.perf_counter() - begun
