"""Many followers of one log: what they cost the job, and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import processes, resident, streams
from bench.figures import Figure, Series, Target, bound
from bench.processes import Service
from bench.rounds import alternate
from bench.streams import Stream
from entrance.client import Client

LIVE = 1_000
IDLE = 10_000
LINES = 100
PAUSE = 0.02  # seconds between two lines
MOST = 64.0  # KiB for a follower


@dataclass(frozen=True, slots=True)
class Followed:
    """How long a followed job took for itself and until each follower had all, in seconds."""

    job: float
    delivery: float
    kib: float  # of the server's memory for each follower, at most


def of_live_job(rounds: int) -> Sequence[Figure]:
    """A job that prints, with many followers and with one."""
    with processes.service(streams.SETTINGS) as service:
        first = asyncio.run(_follow(service, LIVE))  # later ones find memory that these gave back
        many, one = alternate(
            rounds,
            lambda: asyncio.run(_follow(service, LIVE)),
            lambda: asyncio.run(_follow(service, 1)),
        )
    what = f"{LIVE:,} followers of a job that prints {LINES} lines"

    def beside_one(of: str, seconds: str, target: Target) -> Figure:
        return Figure(
            what=f"{what}: {of}",
            unit="s",
            ours=Series([getattr(times, seconds) for times in many]),
            reference_name="with one follower",
            reference=Series([getattr(times, seconds) for times in one]),
            target=target,
        )

    return [
        beside_one("the job's own time", "job", Target(at_most=1.05)),
        beside_one("until each has every line", "delivery", Target()),
        bound(f"{what}: server's memory for each", "KiB", Series([first.kib]), MOST),
    ]


def of_silent_job(rounds: int) -> Sequence[Figure]:
    """KiB of the server's memory for each follower of a job that prints nothing."""
    used = [_kib_of_silence() for _ in range(rounds)]
    return [bound(f"{IDLE:,} idle followers: server's memory for each", "KiB", Series(used), MOST)]


async def _follow(service: Service, count: int) -> Followed:
    """Followers of a job that begins to print when all are there."""
    start = service.data_dir.parent / "start"
    start.unlink(missing_ok=True)
    before = resident.of_server(service.server_pid)
    with Client(service.target, token=service.token) as client:
        job = await asyncio.to_thread(client.submit, _printing(start), engine="shell")
        async with streams.followers(service, job.task_id, count) as followers:
            with resident.peaks(service.server_pid) as peaks:
                begun = asyncio.get_running_loop().time()
                start.touch()
                texts = await asyncio.gather(*map(_text, followers))
                delivery = asyncio.get_running_loop().time() - begun
    if len(set(texts)) != 1 or not _has_every_line(texts[0]):
        raise RuntimeError("a follower has not every line")
    took = float(texts[0].rpartition("nanoseconds ")[2].split()[0]) / 1e9
    return Followed(took, delivery, (peaks.server - before) / count / resident.KIB)


def _printing(start: Path) -> str:
    return f"""\
until [ -e {start} ]; do sleep 0.02; done
begun=$(date +%s%N)
for number in $(seq {LINES}); do echo line $number; sleep {PAUSE}; done
echo nanoseconds $(($(date +%s%N) - begun))
"""


def _has_every_line(text: str) -> bool:
    lines = text.splitlines()
    printed = [line for line in lines if line.startswith("line ")]
    return printed == [f"line {number}" for number in range(1, LINES + 1)]


async def _text(stream: Stream) -> str:
    return "".join([chunk.text async for response in stream for chunk in response.chunks])


def _kib_of_silence() -> float:
    """By a server of its own, which has no memory yet that earlier followers gave back."""
    with processes.service(streams.SETTINGS) as service:
        return asyncio.run(_follow_silence(service))


async def _follow_silence(service: Service) -> float:
    with Client(service.target, token=service.token) as client:
        job = await asyncio.to_thread(client.submit, "sleep 600", engine="shell")
        before = resident.of_server(service.server_pid)
        async with streams.followers(service, job.task_id, IDLE):
            used = resident.of_server(service.server_pid) - before
        await asyncio.to_thread(job.kill)
        return used / IDLE / resident.KIB
