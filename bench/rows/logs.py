"""Followed logs: how fast, and what a follower costs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
import psutil

from bench import processes
from bench.figures import Figure, Series, Target
from bench.processes import Service
from bench.rows.status import reference
from entrance.client import Client
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

LINES = 10_000_000
LINE = "x" * 119
PRINT = f"yes {LINE} | head -n {LINES}"
FOLLOWERS = 1_000
FOLLOWED_LINES = 200
IDLE = 10_000
CHANNEL_STREAMS = 500  # on one connection
MANY = {"ENTRANCE_MAX_STREAMS_PER_USER": "100000"}
SAMPLE = 0.1  # seconds
KIB = 1024
MIB = 1024 * 1024


def followed_log(rounds: int) -> Figure:
    """Megabytes per second from a job that prints to a follower that has all."""
    ours, bare, remarks = [], [], []
    size = LINES * (len(LINE) + 1) / 1e6
    with processes.service() as service, reference("bench.references.pipe_stream") as port:
        for _ in range(rounds):
            with _peak_memory(service.server_pid) as peaks:
                ours.append(size / _follow(service))
            remarks = [f"{name}: {peak / MIB:.0f} MiB at most" for name, peak in peaks.items()]
            bare.append(size / _stream(port))
    return Figure(
        what=f"A job's {LINES:,} log lines until a follower has all",
        unit="MB/s",
        ours=Series(ours),
        reference_name="the same bytes through a pipe, a file and a bare gRPC stream",
        reference=Series(bare),
        target=Target(at_least=0.6),
        remarks=remarks,
    )


def followers(rounds: int) -> Figure:
    """Seconds of a job that many follow, beside one that one follows."""
    many, one = [], []
    with processes.service(MANY) as service:
        for _ in range(rounds):
            many.append(asyncio.run(_followed_job(service, FOLLOWERS)))
            one.append(asyncio.run(_followed_job(service, 1)))
    return Figure(
        what=f"A job of 2 s with {FOLLOWERS:,} followers, until each has every line",
        unit="s",
        ours=Series(many),
        reference_name="one follower",
        reference=Series(one),
        target=Target(),
    )


def idle_followers(rounds: int) -> Figure:
    """KiB of the server's memory for each follower of a silent job."""
    with processes.service(MANY) as service:
        server = psutil.Process(service.server_pid)
        used = [asyncio.run(_idle(service, server)) for _ in range(rounds)]
    return Figure(
        what=f"{IDLE:,} idle followers: memory of the server for each",
        unit="KiB",
        ours=Series(used),
        reference_name="64 KiB",
        reference=Series([64.0]),
        target=Target(at_most=1),
    )


def _follow(service: Service) -> float:
    with Client(service.target, token=service.token) as client:
        begun = time.perf_counter()
        job = client.submit(PRINT, engine="shell")
        with grpc.insecure_channel(service.target) as channel:
            stub = entrance_pb2_grpc.EntranceServiceStub(channel)
            count = 0
            for response in stub.StreamLog(
                pb.StreamLogRequest(id=str(job.task_id)), metadata=_metadata(service)
            ):
                count += sum(chunk.line_count for chunk in response.chunks)
        if count < LINES:
            raise RuntimeError(f"the follower has {count} lines")
        return time.perf_counter() - begun


def _stream(port: int) -> float:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = entrance_pb2_grpc.EntranceServiceStub(channel)
        begun = time.perf_counter()
        for _ in stub.StreamResult(pb.StreamResultRequest(id=PRINT)):
            pass
        return time.perf_counter() - begun


async def _followed_job(service: Service, count: int) -> float:
    code = f"sleep 1; for i in $(seq {FOLLOWED_LINES}); do echo $i; sleep 0.005; done"
    with Client(service.target, token=service.token) as client:
        job = await asyncio.to_thread(client.submit, code, engine="shell")
        begun = time.perf_counter()
        async with _stubs(service, count) as stubs:
            lines = await asyncio.gather(*(_lines(stub, job.task_id, service) for stub in stubs))
        if len(set(lines)) != 1 or lines[0] < FOLLOWED_LINES:
            raise RuntimeError(f"followers have {min(lines)} to {max(lines)} lines")
        return time.perf_counter() - begun


async def _lines(
    stub: entrance_pb2_grpc.EntranceServiceAsyncStub, task_id: int, service: Service
) -> int:
    stream = stub.StreamLog(pb.StreamLogRequest(id=str(task_id)), metadata=_metadata(service))
    return sum([chunk.line_count async for response in stream for chunk in response.chunks])


async def _idle(service: Service, server: psutil.Process) -> float:
    with Client(service.target, token=service.token) as client:
        job = await asyncio.to_thread(client.submit, "sleep 600", engine="shell")
        before = server.memory_info().rss
        async with idle_streams(service, job.task_id, IDLE):
            used = server.memory_info().rss - before
        await asyncio.to_thread(job.kill)
        return used / IDLE / KIB


@asynccontextmanager
async def idle_streams(service: Service, task_id: int, count: int) -> AsyncIterator[None]:
    """Followers of a silent job's log, each of which has what there is."""
    request = pb.StreamLogRequest(id=str(task_id))
    async with _stubs(service, count) as stubs:
        streams = [stub.StreamLog(request, metadata=_metadata(service)) for stub in stubs]
        for stream in streams:
            await stream.read()
        yield
        for stream in streams:
            stream.cancel()


class _stubs:
    """As many stubs as there are to be streams, some hundred on a connection."""

    def __init__(self, service: Service, count: int) -> None:
        self._target = service.target
        self._count = count
        self._channels: list[grpc.aio.Channel] = []

    async def __aenter__(self) -> list[entrance_pb2_grpc.EntranceServiceAsyncStub]:
        options = [("grpc.use_local_subchannel_pool", 1)]
        stubs = []
        for number in range(self._count):
            if number % CHANNEL_STREAMS == 0:
                self._channels.append(grpc.aio.insecure_channel(self._target, options=options))
            stubs.append(entrance_pb2_grpc.EntranceServiceStub(self._channels[-1]))
        return stubs

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close()


@contextmanager
def _peak_memory(server_pid: int) -> Iterator[dict[str, float]]:
    """The most that the server and any runner below it had resident, in bytes."""
    peaks = {"server": 0.0, "runner": 0.0}
    over = threading.Event()

    def sample() -> None:
        server = psutil.Process(server_pid)
        while not over.wait(SAMPLE):
            peaks["server"] = max(peaks["server"], server.memory_info().rss)
            for child in server.children(recursive=True):
                try:
                    if "entrance_runner" in " ".join(child.cmdline()):
                        peaks["runner"] = max(peaks["runner"], child.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peaks
    finally:
        over.set()
        sampler.join()


def _metadata(service: Service) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {service.token}"),)
