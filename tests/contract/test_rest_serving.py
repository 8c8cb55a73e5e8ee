"""How the gateway starts, tells how it is, and stops."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from grpc_health.v1 import health_pb2

from entrance_gateway.config import GatewaySettings
from entrance_gateway.protocol import EnvelopedHttp
from entrance_gateway.run import serve
from tests.contract.rest_gateway import PATIENCE, ROOT, parts, rest, running, service

NOWHERE = 1  # a port on which nobody listens


async def test_the_gateway_lives_whether_or_not_the_server_does() -> None:
    async with rest(NOWHERE) as client:
        response = await client.get("/health")
    assert parts(response) == (200, 0, "OK", {})
    assert response.json()["method"] == "/health"


async def test_the_gateway_is_ready_when_the_server_says_that_it_is_healthy() -> None:
    async with service() as it, rest(it.port) as client:
        ready = await client.get("/ready")
        await it.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        draining = await client.get("/ready")
    assert parts(ready) == (200, 0, "OK", {})
    assert parts(draining)[:2] == (503, 1)


async def test_the_gateway_is_not_ready_without_a_server() -> None:
    async with rest(NOWHERE) as client:
        response = await client.get("/ready")
    assert parts(response)[:2] == (503, 1)
    assert response.headers["retry-after"]


async def test_it_is_on_loopback_by_default_in_front_of_the_servers_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("ENTRANCE_")]:
        monkeypatch.delenv(name)
    own = GatewaySettings()
    assert (own.host, own.port, own.server_target) == ("127.0.0.1", 9001, "127.0.0.1:9104")


async def test_the_environment_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRANCE_GATEWAY_PORT", "0")
    monkeypatch.setenv("ENTRANCE_GATEWAY_BODY_LIMIT", "10")
    assert (GatewaySettings().port, GatewaySettings().body_limit) == (0, 10)


async def test_a_port_that_is_taken_is_an_error_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = GatewaySettings(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await serve(own, stop=asyncio.Event())


async def test_an_answer_is_not_held_back_until_the_client_has_acknowledged_its_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = list[int]()
    made = EnvelopedHttp.connection_made

    def connection_made(own: EnvelopedHttp, transport: asyncio.Transport) -> None:
        made(own, transport)
        connection = transport.get_extra_info("socket")
        options.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(EnvelopedHttp, "connection_made", connection_made)
    async with running(NOWHERE) as gateway:
        assert (await gateway.client.get("/health")).status_code == 200
    assert options
    assert all(options)


async def test_cancelling_stops_it_cleanly() -> None:
    async with service() as it, running(it.port) as gateway:
        assert (await gateway.client.get(f"{ROOT}/7/status")).status_code == 200
        gateway.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gateway.task
        with pytest.raises(httpx.ConnectError):
            await gateway.client.get("/health")


@asynccontextmanager
async def process(*options: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The gateway as a process of its own, which does not outlive the test."""
    own = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    pipe = asyncio.subprocess.PIPE
    it = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrance_gateway", *options), env=own, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield it
    finally:
        if it.returncode is None:
            it.kill()
        await it.communicate()


async def test_a_process_tells_its_port_and_a_signal_stops_it_cleanly(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready"
    async with process("--port=0", f"--ready-file={ready_file}") as it:
        assert it.stderr is not None
        assert b"gateway.listening" in await it.stderr.readline()
        port = json.loads(ready_file.read_text())["port"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/health")).status_code == 200
            it.send_signal(signal.SIGTERM)
            assert await it.wait() == 0


async def test_a_process_says_that_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with process(f"--port={taken.getsockname()[1]}") as it:
            _, told = await it.communicate()
    assert it.returncode == 1
    assert re.fullmatch(r"entrance gateway: it can't listen: Address.* in use.*\n", told.decode())


async def test_a_process_names_the_setting_that_is_wrong() -> None:
    async with process(ENTRANCE_GATEWAY_BODY_LIMIT="none") as it:
        _, told = await it.communicate()
    assert it.returncode == 1
    assert told.decode().startswith("entrance gateway: ENTRANCE_GATEWAY_BODY_LIMIT: Input should")


async def test_a_process_tells_how_a_list_is_written() -> None:
    async with process(ENTRANCE_GATEWAY_ALLOWED_ORIGINS="https://console.example") as it:
        _, told = await it.communicate()
    assert it.returncode == 1
    start = 'entrance gateway: ENTRANCE_GATEWAY_ALLOWED_ORIGINS: must be JSON, such as ["a", "b"]'
    assert told.decode().startswith(start)
    assert told.count(b"\n") == 1
