"""Load from a process of its own, the same for ours and for the reference."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import grpc

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

WARM_UP = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Rate:
    """What a load reached: requests per second, and the 99th percentile of their times in ms."""

    per_second: float
    p99_ms: float


def run(kind: str, *arguments: str) -> Rate:
    """A load in another process."""
    command = [sys.executable, "-m", "bench.load", kind, *arguments]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return Rate(**json.loads(said.stdout))


async def repeat(
    once: Sequence[Callable[[], Awaitable[None]]], seconds: float
) -> tuple[list[float], float]:
    """Each callable again and again, all at once; the times of each call after the warm-up."""
    times: list[float] = []
    start = time.perf_counter() + WARM_UP
    end = start + seconds

    async def worker(call: Callable[[], Awaitable[None]]) -> None:
        while (begun := time.perf_counter()) < end:
            await call()
            if begun >= start:
                times.append(time.perf_counter() - begun)

    await asyncio.gather(*(worker(call) for call in once))
    return times, time.perf_counter() - start


async def grpc_status(options: argparse.Namespace) -> tuple[list[float], float]:
    """Status calls on one channel."""
    metadata = (("authorization", f"Bearer {options.token}"),) if options.token else ()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{options.port}") as channel:
        stub = entrance_pb2_grpc.EntranceServiceStub(channel)
        request = pb.StatusRequest(id=options.id)

        async def call() -> None:
            await stub.Status(request, metadata=metadata, timeout=30)

        return await repeat([call] * options.connections, options.seconds)


async def rest_status(options: argparse.Namespace) -> tuple[list[float], float]:
    """Status requests, each worker on a connection of its own that is kept open."""
    head = [f"GET /api/rest_j/v1/entrance/{options.id}/status HTTP/1.1", "Host: 127.0.0.1"]
    head += [f"Authorization: Bearer {options.token}"] if options.token else []
    request = ("\r\n".join(head) + "\r\n\r\n").encode()

    async def connect() -> Callable[[], Awaitable[None]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", options.port)

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


async def submit(options: argparse.Namespace) -> tuple[list[float], float]:
    """Submits of jobs that are held by their group's limit, so that only accepting is measured."""
    metadata = (("authorization", f"Bearer {options.token}"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{options.port}") as channel:
        stub = entrance_pb2_grpc.EntranceServiceStub(channel)
        request = pb.SubmitRequest(
            execution_content=pb.ExecutionContent(code="true", run_type="shell"),
            labels={"engineType": "shell"},
        )

        async def call() -> None:
            await stub.Submit(request, metadata=metadata, timeout=30)

        return await repeat([call] * options.connections, options.seconds)


LOADS = {"grpc-status": grpc_status, "rest-status": rest_status, "submit": submit}


def main() -> None:
    """Runs one load and prints what it reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=LOADS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", default="")
    parser.add_argument("--id", default="1")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    times, seconds = asyncio.run(LOADS[options.kind](options))
    p99 = statistics.quantiles(times, n=100)[-1] * 1000
    print(json.dumps({"per_second": len(times) / seconds, "p99_ms": p99}))


if __name__ == "__main__":
    main()
