"""Server and gateway started, run and ended together."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import tempfile
import urllib.request
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from entrance.cli import children
from entrance.cli.children import Child
from entrance.client import core
from entrance.client.discovery import ENDPOINTS_FILE
from entrance.memory import hide_memory

PROBE_TIMEOUT = 5.0  # seconds

_SOCKET = "socket"
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a child is reached, and whether by TLS; `socket` takes calls of its user without."""

    host: str
    port: int
    tls: bool = False
    socket: Path | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def as_object(self) -> dict[str, Any]:
        """For the endpoints' file and for programs."""
        told = {"host": self.host, "port": self.port, "tls": self.tls}
        return told | ({"socket": str(self.socket)} if self.socket else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where the two listen, by which TLS, and where the data is; port 0 takes a free one.

    `config` is the server's file of settings.
    """

    data_dir: Path
    host: str
    grpc_port: int
    http_port: int
    config: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    insecure: bool = False

    def endpoint(self, told: Mapping[str, Any], socket: Path | None = None) -> Endpoint:
        """Where a child is reached; what listens on every address is reached at the loopback."""
        host = _REACHED_AT.get(self.host, self.host)
        return Endpoint(host, told["port"], told["tls"], socket if told["tls"] else None)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the service is reached."""

    grpc: Endpoint
    http: Endpoint

    def as_object(self) -> dict[str, Any]:
        """For the endpoints' file and for programs."""
        return {"grpc": self.grpc.as_object(), "http": self.http.as_object(), "pid": os.getpid()}


def run(plan: Plan, started: Callable[[Endpoints], None]) -> None:
    """Runs the service until a signal; a second one ends it by force.

    Args:
        plan: Where it listens and where its data is.
        started: Called once it answers calls.

    Raises:
        Problem: it did not start, or a child ended by itself.
    """
    hide_memory()  # its environment is the server's
    asyncio.run(_until_signal(_supervise(plan, started)))


async def _supervise(plan: Plan, started: Callable[[Endpoints], None]) -> None:
    async with running(plan) as (endpoints, both):
        started(endpoints)
        await children.first([child.ended() for child in both])


async def _until_signal(work: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


@asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[tuple[Endpoints, Sequence[Child]]]:
    """The service from here to the end of the block; it answers calls when the block begins.

    Raises:
        Problem: it did not start.
    """
    plan.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="entrance-serve-") as name:
        folder = Path(name)  # private to this user, as the socket between the two has to be
        async with (
            _server(plan, folder) as (server, grpc),
            _gateway(plan, folder) as (gateway, http),
        ):
            endpoints = Endpoints(grpc, http)
            with _published(plan.data_dir / ENDPOINTS_FILE, endpoints):
                yield endpoints, (server, gateway)


@asynccontextmanager
async def _server(plan: Plan, folder: Path) -> AsyncIterator[tuple[Child, Endpoint]]:
    ready_file, socket = folder / "server", folder / _SOCKET
    command = children.server_command(
        config=plan.config,
        data_dir=plan.data_dir,
        host=plan.host,
        port=plan.grpc_port,
        tls_cert=plan.tls_cert,
        tls_key=plan.tls_key,
        tls_client_ca=plan.tls_client_ca,
        insecure=plan.insecure,
        local_socket=socket,
        ready_file=ready_file,
    )
    async with children.running("server", command) as child:
        told = await children.told_by(child, ready_file)
        await children.poll(child, lambda: _grpc_is_healthy(f"unix:{socket}"))
        yield child, plan.endpoint(told, socket)


@asynccontextmanager
async def _gateway(plan: Plan, folder: Path) -> AsyncIterator[tuple[Child, Endpoint]]:
    ready_file = folder / "gateway"
    command = children.gateway_command(
        host=plan.host,
        port=plan.http_port,
        server_target=f"unix:{folder / _SOCKET}",
        tls_cert=plan.tls_cert,
        tls_key=plan.tls_key,
        insecure=plan.insecure,
        ready_file=ready_file,
    )
    async with children.running("gateway", command) as child:
        endpoint = plan.endpoint(await children.told_by(child, ready_file))
        await children.poll(child, lambda: asyncio.to_thread(_http_is_healthy, endpoint))
        yield child, endpoint


async def _grpc_is_healthy(target: str) -> bool | None:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with grpc.aio.insecure_channel(target, core.channel_options(target)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PROBE_TIMEOUT)
        except grpc.RpcError:
            return None
    return answer.status == health_pb2.HealthCheckResponse.SERVING or None


def _http_is_healthy(endpoint: Endpoint) -> bool | None:
    # the child's certificate is for the name that callers know it by, which may be any
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unchecked)
    )
    scheme = "https" if endpoint.tls else "http"
    try:
        with direct.open(f"{scheme}://{endpoint}/health", timeout=PROBE_TIMEOUT) as answer:
            return answer.status == HTTPStatus.OK or None
    except OSError:
        return None


@contextmanager
def _published(path: Path, endpoints: Endpoints) -> Iterator[None]:
    """Tells in a file where the service is, for clients that use the same data directory."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(endpoints.as_object()) + "\n")
    temporary.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
