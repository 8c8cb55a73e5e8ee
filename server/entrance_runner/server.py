"""Puts the runner together: endpoint, host, and the reasons to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc.aio

from entrance.engine.v1 import engine_pb2_grpc
from entrance_runner.endpoint import Endpoint
from entrance_runner.host import Host
from entrance_runner.isolation import Policy
from entrance_runner.presence import Presence
from entrance_runner.processes import Processes
from entrance_runner.servicer import EngineServicer
from entrance_runner.starter import Starter

SPENT_CHECK = 0.2  # seconds
READ_MOST = 4_096  # bytes
STOP_GRACE = 5.0  # seconds that open streams have to take the last events
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


async def serve(
    endpoint: Endpoint,
    *,
    starter: Starter,
    scratch: Path,
    orphan_timeout: float,
    policy: Policy,
    directory: Path,
) -> None:
    """Serves until Close, a signal, or too long without a server.

    SIGHUP tells that the guard was killed, as the endpoint tells of its owner: then the runner is
    lost, and nobody is told any more how its run ends.

    Args:
        endpoint: Where to listen.
        starter: What starts the session's processes.
        scratch: A private directory.
        orphan_timeout: Seconds.
        policy: How user code is kept.
        directory: The session's own.
    """
    stop, lost = asyncio.Event(), asyncio.Event()
    presence = Presence()
    processes = Processes(starter)

    def hang_up() -> None:
        lost.set()
        stop.set()

    with (
        _stopping_on_signals(stop, hang_up),
        _stopping_without(endpoint.owner, hang_up),
        processes.adopting(),
    ):
        async with asyncio.TaskGroup() as tasks:
            host = Host(
                tasks=tasks,
                processes=processes,
                scratch=scratch,
                policy=policy,
                directory=directory,
                lose=hang_up,
            )
            async with _listening(endpoint, EngineServicer(host, presence, stop.set)) as server:
                watches = [
                    tasks.create_task(_stop_when_orphaned(presence, orphan_timeout, stop)),
                    tasks.create_task(_stop_when_spent(host, stop)),
                ]
                await stop.wait()
                for watch in watches:
                    watch.cancel()
                if lost.is_set():
                    await server.stop(None)
                await host.close()


async def _stop_when_orphaned(presence: Presence, timeout: float, stop: asyncio.Event) -> None:
    await presence.wait_absent(timeout)
    stop.set()


async def _stop_when_spent(host: Host, stop: asyncio.Event) -> None:
    """Lets the server see that the session is of no use, before it gives it to a job."""
    while not host.is_spent:  # noqa: ASYNC110  # engines have no common way to tell of their end
        await asyncio.sleep(SPENT_CHECK)
    stop.set()


@contextlib.contextmanager
def _stopping_on_signals(stop: asyncio.Event, hang_up: Callable[[], None]) -> Iterator[None]:
    handlers = {signal.SIGTERM: stop.set, signal.SIGINT: stop.set, signal.SIGHUP: hang_up}
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # it ends in order already


@contextlib.contextmanager
def _stopping_without(owner: int | None, hang_up: Callable[[], None]) -> Iterator[None]:
    if owner is None:
        yield
        return

    def read(descriptor: int) -> None:
        if not os.read(descriptor, READ_MOST):
            loop.remove_reader(descriptor)
            hang_up()

    loop = asyncio.get_running_loop()
    loop.add_reader(owner, read, owner)
    try:
        yield
    finally:
        loop.remove_reader(owner)


@contextlib.asynccontextmanager
async def _listening(
    endpoint: Endpoint, servicer: EngineServicer
) -> AsyncIterator[grpc.aio.Server]:
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), *endpoint.options]
    )
    engine_pb2_grpc.add_EngineServiceServicer_to_server(servicer, server)
    endpoint.bind(server)
    await server.start()
    endpoint.announce()
    try:
        yield server
    finally:
        servicer.end_idle_streams()
        await server.stop(STOP_GRACE)
