"""Memory of the server against the number of jobs queued and of followers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from bench import processes, resident, streams
from bench.figures import Figure, Series, Target
from bench.processes import Service
from bench.resident import KIB, MIB
from entrance.client import AsyncClient, Client

JOBS = (1_000, 10_000)
FOLLOWERS = (100, 1_000)
AT_ONCE = 64  # submits
HELD = {
    "ENTRANCE_MAX_RUNNING": "1",
    "ENTRANCE_GROUP_WAITING": str(JOBS[-1]),
}

Grow = Callable[[Service, int, AsyncExitStack], Awaitable[None]]


def queued_jobs(rounds: int) -> Sequence[Figure]:
    """KiB for each job of many that wait, beside each of fewer."""
    return [_figure("jobs queued", JOBS, rounds, HELD, _submit)]


def followers(rounds: int) -> Sequence[Figure]:
    """KiB for each of many followers of a silent job, beside each of fewer."""
    return [_figure("followers", FOLLOWERS, rounds, streams.SETTINGS, _follow)]


def _figure(
    what: str, counts: Sequence[int], rounds: int, environment: dict[str, str], grow: Grow
) -> Figure:
    async def measure() -> Sequence[Sequence[int]]:
        # in one event loop: gRPC tells of what was cancelled later, and to no loop that is closed
        return [await _resident(counts, environment, grow) for _ in range(rounds)]

    measured = asyncio.run(measure())
    few, many = (
        Series([(sizes[at] - sizes[0]) / counts[at - 1] / KIB for sizes in measured])
        for at in (1, 2)
    )
    shown = ", ".join(
        f"{Series([sizes[at] for sizes in measured]).median / MIB:.1f} MiB with {count:,}"
        for at, count in enumerate((0, *counts))
    )
    return Figure(
        what=f"{counts[1]:,} {what}: memory of the server for each",
        unit="KiB",
        ours=many,
        reference_name=f"for each of {counts[0]:,}",
        reference=few,
        target=Target(),
        remarks=[shown],
    )


async def _resident(
    counts: Sequence[int], environment: dict[str, str], grow: Grow
) -> Sequence[int]:
    """Bytes that the server has resident with none and with each count."""
    with (
        processes.service(environment) as service,
        Client(service.target, token=service.token) as client,
    ):
        await asyncio.to_thread(client.submit, "sleep 3600", engine="shell", priority=100)
        async with AsyncExitStack() as stack:
            await grow(service, 10, stack)  # so that what comes with the first ones counts not
            before, sizes = 10, [resident.of_server(service.server_pid)]
            for count in counts:
                await grow(service, count - before, stack)
                sizes.append(resident.of_server(service.server_pid))
                before = count
        return sizes


async def _submit(service: Service, count: int, stack: AsyncExitStack) -> None:
    places = asyncio.Semaphore(AT_ONCE)
    async with AsyncClient(service.target, token=service.token) as client:

        async def submit() -> None:
            async with places:
                await client.submit("true", engine="shell", run_type="shell")

        await asyncio.gather(*(submit() for _ in range(count)))


async def _follow(service: Service, count: int, stack: AsyncExitStack) -> None:
    await stack.enter_async_context(streams.followers(service, 1, count))
