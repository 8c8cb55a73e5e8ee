"""A gateway and a client that know several servers leave one that is gone for another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from grpc_health.v1 import health, health_pb2

from entrance.client import AsyncClient, JobStatus
from entrance.v1 import entrance_pb2 as pb
from entrance_gateway.backend import Backend
from entrance_gateway.config import GatewaySettings
from entrance_gateway.operations import operations_of
from tests.contract.grpc_edge import PATIENCE, Services, edge_server

AS_ALICE = (("authorization", "Bearer alice"),)
STATUS = next(
    one
    for one in operations_of([pb.DESCRIPTOR.services_by_name["EntranceService"]])
    if one.request_class is pb.StatusRequest
)


class Server:
    """One of several."""

    def __init__(self) -> None:
        self.services = Services()
        self.health = health.aio.HealthServicer()
        self._server = edge_server(self.services, health_servicer=self.health)
        self.target = ""

    @property
    def calls(self) -> int:
        return len(self.services.asked)

    async def start(self) -> None:
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self.target = f"127.0.0.1:{port}"

    async def die(self) -> None:
        await self._server.stop(grace=None)


@asynccontextmanager
async def servers(count: int) -> AsyncIterator[list[Server]]:
    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        found = [Server() for _ in range(count)]
        for one in found:
            await one.start()
            stack.push_async_callback(one.die)
        yield found


def target_of(found: list[Server]) -> str:
    return ",".join(one.target for one in found)


@asynccontextmanager
async def gateway_of(found: list[Server], *, tunnel: bool = True) -> AsyncIterator[Backend]:
    async with Backend(GatewaySettings(server_target=target_of(found), tunnel=tunnel)) as backend:
        yield backend


async def status(backend: Backend) -> None:
    await backend.call(STATUS, pb.StatusRequest(id="7"), AS_ALICE)


@pytest.mark.parametrize("tunnel", [True, False])
async def test_a_gateway_uses_its_servers_in_turn(tunnel: bool) -> None:
    async with servers(2) as (a, b), gateway_of([a, b], tunnel=tunnel) as backend:
        while not (a.calls and b.calls):
            await status(backend)


@pytest.mark.parametrize("tunnel", [True, False])
async def test_a_gateway_leaves_a_server_that_is_gone(tunnel: bool) -> None:
    async with servers(2) as (a, b), gateway_of([a, b], tunnel=tunnel) as backend:
        while not (a.calls and b.calls):
            await status(backend)
        await a.die()
        before = a.calls
        for _ in range(20):
            await status(backend)
        assert a.calls == before


async def test_a_gateways_read_that_was_under_way_is_made_again_at_another_server() -> None:
    async with servers(2) as found, gateway_of(found) as backend:
        for one in found:
            one.services.gate = asyncio.Event()
        reading = asyncio.ensure_future(status(backend))
        asked = await _first_asked(found)
        other = found[1 - found.index(asked)]
        gate = other.services.gate
        assert gate is not None
        gate.set()
        await asked.die()
        await reading
        assert other.calls == 1


async def test_a_gateway_leaves_a_server_that_says_that_it_does_not_serve() -> None:
    async with servers(2) as (a, b), gateway_of([a, b], tunnel=False) as backend:
        while not (a.calls and b.calls):
            await status(backend)
        await a.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        quiet = 0
        while quiet < 10:
            before = a.calls
            await status(backend)
            quiet = quiet + 1 if a.calls == before else 0


async def test_a_client_goes_on_with_another_server() -> None:
    async with servers(2) as found, AsyncClient(target_of(found), token="alice") as client:
        job = await client.job(7)
        asked = await _first_asked(found)
        await asked.die()
        assert await job.status() is JobStatus.RUNNING
        other = found[1 - found.index(asked)]
        assert other.calls == 1


async def test_a_client_says_which_servers_it_does_not_reach() -> None:
    async with servers(2) as found:
        for one in found:
            await one.die()
        async with AsyncClient(target_of(found), token="alice", deadline=1) as client:
            with pytest.raises(Exception, match=found[0].target):
                await client.engines()


async def _first_asked(found: list[Server]) -> Server:
    starts = {asyncio.create_task(one.services.started.wait()): one for one in found}
    done, waiting = await asyncio.wait(starts, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return starts[done.pop()]
