"""The gateway's lines to its servers, as their certificates change."""

from __future__ import annotations

import asyncio
from typing import cast

import grpc

from entrance.tls import TlsContent
from entrance_gateway.backend import Backend
from entrance_gateway.config import GatewaySettings
from tests.support.ports import HOST, free_ports

DEADLINE = 60.0  # seconds
NO_TLS = cast(TlsContent, None)  # a change is one also where nothing is protected


async def test_who_waits_for_a_server_gets_one_by_the_certificates_that_came_meanwhile() -> None:
    first, second = (f"{HOST}:{port}" for port in free_ports(2))
    settings = GatewaySettings(server_target=f"{first},{second}")
    server = grpc.aio.server()
    async with asyncio.timeout(DEADLINE), Backend(settings) as backend:
        waiting = asyncio.create_task(backend.lines.next_ready())
        await asyncio.sleep(0)
        await backend._reconnect(NO_TLS)
        server.add_insecure_port(second)
        await server.start()
        assert await waiting in list(backend.lines)
    await server.stop(None)
