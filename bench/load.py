"""Load from a process of its own, the same for ours and for the reference."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import grpc

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

WARM_UP = 0.5  # seconds

Call = Callable[[], Awaitable[None]]
Stub: TypeAlias = "entrance_pb2_grpc.EntranceServiceAsyncStub"


@dataclass(frozen=True, slots=True)
class Rate:
    """What a load reached: requests per second, and the 99th percentile of their times in ms."""

    per_second: float
    p99_ms: float


def run(
    kind: str,
    ports: Sequence[int],
    *,
    ids: Sequence[str] = (),
    token: str = "",
    connections: int = 64,
    seconds: float = 4.0,
    anywhere: bool = False,
) -> Rate:
    """A load from another process.

    Args:
        kind: What is called.
        ports: The servers; as many workers call each.
        ids: A job of each server, for calls about jobs.
        token: The caller's.
        connections: How many workers call at once, each again when it is answered.
        seconds: How long, beside the warm-up.
        anywhere: Whether each server is asked about the jobs of all, else about its own.
    """
    command = [sys.executable, "-m", "bench.load", kind, "--token", token]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    command += ["--ports", *map(str, ports), "--ids", *ids]
    command += ["--anywhere"] * anywhere
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Rate(**json.loads(said.stdout))


async def repeat(once: Sequence[Call], seconds: float) -> tuple[list[float], float]:
    """Each callable again and again, all at once; the times of each call after the warm-up."""
    times: list[float] = []
    start = time.perf_counter() + WARM_UP
    end = start + seconds

    async def worker(call: Call) -> None:
        while (begun := time.perf_counter()) < end:
            await call()
            if begun >= start:
                times.append(time.perf_counter() - begun)

    await asyncio.gather(*(worker(call) for call in once))
    return times, time.perf_counter() - start


async def grpc_status(options: argparse.Namespace) -> tuple[list[float], float]:
    """Status calls, on one channel to each server."""
    requests = [pb.StatusRequest(id=id) for id in options.ids]

    def worker(number: int, stub: Stub) -> Call:
        own = requests if options.anywhere else [requests[number % len(requests)]]
        turns = itertools.cycle(own)

        async def call() -> None:
            await stub.Status(next(turns), metadata=_metadata(options), timeout=30)

        return call

    async with _stubs(options) as stubs:
        return await repeat([worker(*one) for one in enumerate(stubs)], options.seconds)


async def submit(options: argparse.Namespace) -> tuple[list[float], float]:
    """Submits of jobs that are held by their group's limit, so that only accepting is measured."""
    request = pb.SubmitRequest(
        execution_content=pb.ExecutionContent(code="true", run_type="shell"),
        labels={"engineType": "shell"},
    )

    def worker(stub: Stub) -> Call:
        async def call() -> None:
            await stub.Submit(request, metadata=_metadata(options), timeout=30)

        return call

    async with _stubs(options) as stubs:
        return await repeat(list(map(worker, stubs)), options.seconds)


@asynccontextmanager
async def _stubs(options: argparse.Namespace) -> AsyncIterator[Sequence[Stub]]:
    """One for each worker, over one channel to each server."""
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            for port in options.ports
        ]
        stubs = [entrance_pb2_grpc.EntranceServiceStub(channel) for channel in channels]
        yield [stubs[number % len(stubs)] for number in range(options.connections)]


def _metadata(options: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {options.token}"),) if options.token else ()


async def rest_status(options: argparse.Namespace) -> tuple[list[float], float]:
    """Status requests, each worker on a connection of its own that is kept open."""
    head = [f"GET /api/rest_j/v1/entrance/{options.ids[0]}/status HTTP/1.1", "Host: 127.0.0.1"]
    head += [f"Authorization: Bearer {options.token}"] if options.token else []
    request = ("\r\n".join(head) + "\r\n\r\n").encode()

    async def connect() -> Call:
        reader, writer = await asyncio.open_connection("127.0.0.1", options.ports[0])

        async def call() -> None:
            writer.write(request)
            header = await reader.readuntil(b"\r\n\r\n")
            if not header.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(header.decode())
            await reader.readexactly(_content_length(header))

        return call

    calls = [await connect() for _ in range(options.connections)]
    return await repeat(calls, options.seconds)


def _content_length(header: bytes) -> int:
    lowered = header.lower()
    at = lowered.index(b"content-length:") + len(b"content-length:")
    return int(lowered[at : lowered.index(b"\r\n", at)])


LOADS = {"grpc-status": grpc_status, "rest-status": rest_status, "submit": submit}


def main() -> None:
    """Runs one load and prints what it reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=LOADS)
    parser.add_argument("--ports", type=int, nargs="+", required=True)
    parser.add_argument("--ids", nargs="*", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--anywhere", action="store_true")
    options = parser.parse_args()
    times, seconds = asyncio.run(LOADS[options.kind](options))
    p99 = statistics.quantiles(times, n=100)[-1] * 1000
    print(json.dumps({"per_second": len(times) / seconds, "p99_ms": p99}))


if __name__ == "__main__":
    main()
