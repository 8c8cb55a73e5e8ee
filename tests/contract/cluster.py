"""Edges on loopback that share a table of owners, in front of services as a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import grpc

from entrance_server.domain.instances import Instance, Owner
from entrance_server.rpc.hops import Seal
from entrance_server.rpc.peers import Peers
from entrance_server.rpc.places import Places
from entrance_server.rpc.routing import Routing
from tests.contract.grpc_edge import PATIENCE, Services, edge_server

HOST = "127.0.0.1"


class Table:
    """Who owns what. `addresses_of` are the servers that live."""

    def __init__(self) -> None:
        self.addresses_of: dict[str, str] = {}
        self.instance_of: dict[int, str] = {}
        self.ended: dict[int, datetime] = {}
        self.lookups = 0

    async def owners_of(self, task_ids: Collection[int]) -> Mapping[int, Owner]:
        self.lookups += 1
        return {
            one: Owner(
                name,
                self.addresses_of.get(name, ""),
                fence=1,
                is_alive=name in self.addresses_of,
                end_time=self.ended.get(one),
            )
            for one in task_ids
            if (name := self.instance_of.get(one))
        }

    async def live_instances(self) -> Sequence[Instance]:
        return [
            Instance(name, address, home=name, fence=1, is_alive=True)
            for name, address in self.addresses_of.items()
        ]


@dataclass
class Entries:
    """An audit log."""

    all: list[Mapping[str, object]] = field(default_factory=list)

    def write(self, entry: Mapping[str, object]) -> None:
        self.all.append(entry)


class Member:
    """A server of the cluster: what it has, what it was asked, and a channel to it."""

    def __init__(self, name: str, table: Table) -> None:
        self.name = name
        self.services = Services()
        self.audit = Entries()
        self.here: set[int] = set()
        self.table = table
        self.channel: grpc.aio.Channel
        self._server: grpc.aio.Server

    def take(self, *task_ids: int) -> None:
        """Makes it the owner of jobs, which it then has."""
        self.table.instance_of |= dict.fromkeys(task_ids, self.name)
        self.here |= set(task_ids)

    def lose(self, *task_ids: int) -> None:
        """Lets it have jobs no longer, whoever owns them."""
        self.here -= set(task_ids)

    async def die(self) -> None:
        """Ends it without a warning: what is under way breaks, and nobody finds it any more."""
        self.table.addresses_of.pop(self.name, None)
        self.here.clear()
        await self._server.stop(grace=None)

    @asynccontextmanager
    async def running(self, key: bytes) -> AsyncIterator[None]:
        seal = Seal(key)
        async with Peers(instance=self.name, owners=self.table, seal=seal) as peers:
            places = Places(instance=self.name, owners=self.table, is_here=self.here.__contains__)
            routing = Routing(places, peers)
            self._server = edge_server(self.services, audit=self.audit, seal=seal, routing=routing)
            port = self._server.add_insecure_port(f"{HOST}:0")
            await self._server.start()
            address = f"{HOST}:{port}"
            self.table.addresses_of[self.name] = address
            try:
                async with grpc.aio.insecure_channel(address) as self.channel:
                    yield
            finally:
                await self._server.stop(grace=None)


@asynccontextmanager
async def cluster(
    names: Sequence[str], *, keys: Mapping[str, bytes] | None = None
) -> AsyncIterator[list[Member]]:
    """Servers of one installation; `keys` lets some have another key."""
    table = Table()
    members = [Member(name, table) for name in names]
    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        for member in members:
            key = (keys or {}).get(member.name, b"key")
            await stack.enter_async_context(member.running(key))
        yield members
