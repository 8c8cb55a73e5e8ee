"""Server and gateway as two child processes that start, run and end together."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import urllib.request
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from entrance.cli.exits import ExitCode
from entrance.cli.problems import Problem
from entrance.client import core
from entrance.client.discovery import ENDPOINTS_FILE

T = TypeVar("T")

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 30.0  # seconds for each child
PROBE_TIMEOUT = 5.0  # seconds
POLL_INTERVAL = 0.05  # seconds

# where to reach what listens on every address
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the two listen and where the data is; port 0 takes a free one."""

    data_dir: Path
    host: str
    grpc_port: int
    http_port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a child is reached."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def as_object(self) -> dict[str, Any]:
        """For the endpoints' file and for programs."""
        return {"host": self.host, "port": self.port}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the service is reached."""

    grpc: Endpoint
    http: Endpoint

    def as_object(self) -> dict[str, Any]:
        """For the endpoints' file and for programs."""
        return {"grpc": self.grpc.as_object(), "http": self.http.as_object(), "pid": os.getpid()}


class ChildEnded(Problem):
    """A child ended though nobody told it to."""

    def __init__(self, child: Child) -> None:
        how = f"signal {-child.code}" if child.code < 0 else f"exit status {child.code}"
        super().__init__(f"the {child.name} ended by itself with {how}", ExitCode.FAILED)


class Child:
    """A child process with an owner that ends it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @property
    def code(self) -> int:
        """The exit status, negative for a signal; only once it has ended."""
        return self._process.returncode or 0

    async def ended(self) -> NoReturn:
        """Waits for an end that nobody asked for.

        Raises:
            ChildEnded: it came.
        """
        await self._process.wait()
        raise ChildEnded(self)

    async def stop(self) -> None:
        """Asks it to end, and ends it by force after a while, or at once when cancelled."""
        if self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
        except (TimeoutError, asyncio.CancelledError):
            self._process.kill()
            await self._process.wait()


def run(plan: Plan, started: Callable[[Endpoints], None]) -> None:
    """Runs the service until a signal; a second one ends it by force.

    Args:
        plan: Where it listens and where its data is.
        started: Called once it answers calls.

    Raises:
        Problem: it did not start, or a child ended by itself.
    """
    asyncio.run(_until_signal(_supervise(plan, started)))


async def _supervise(plan: Plan, started: Callable[[Endpoints], None]) -> None:
    async with running(plan) as (endpoints, children):
        started(endpoints)
        await _first([child.ended() for child in children])


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
    host = _REACHED_AT.get(plan.host, plan.host)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="entrance-serve-")))

        command = server_command(plan.data_dir, plan.host, plan.grpc_port)
        server, port = await _started(stack, "server", command, folder)
        grpc = Endpoint(host, port)
        await _poll(server, lambda: _grpc_is_healthy(str(grpc)))

        command = gateway_command(plan.host, plan.http_port, str(grpc))
        gateway, port = await _started(stack, "gateway", command, folder)
        http = Endpoint(host, port)
        await _poll(gateway, lambda: asyncio.to_thread(_http_is_healthy, str(http)))

        endpoints = Endpoints(grpc, http)
        stack.enter_context(_published(plan.data_dir / ENDPOINTS_FILE, endpoints))
        yield endpoints, (server, gateway)


async def _started(
    stack: AsyncExitStack, name: str, command: Sequence[str], folder: Path
) -> tuple[Child, int]:
    """A child that the stack owns, with the port that it listens on."""
    ready_file = folder / name
    child = await stack.enter_async_context(_child(name, [*command, f"--ready-file={ready_file}"]))

    async def look() -> int | None:
        if not ready_file.exists():
            return None
        port: int = json.loads(ready_file.read_text())["port"]
        return port

    return child, await _poll(child, look)


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


def _http_is_healthy(address: str) -> bool | None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{address}/health", timeout=PROBE_TIMEOUT) as answer:
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


@asynccontextmanager
async def _child(name: str, command: Sequence[str]) -> AsyncIterator[Child]:
    """A child in a session of its own, so that Ctrl-C reaches it through us alone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrance.cli.child", str(os.getpid()), *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        start_new_session=True,
    )
    child = Child(name, process)
    try:
        yield child
    finally:
        await child.stop()


def server_command(data_dir: Path | None, host: str | None, port: int | None) -> list[str]:
    """The module and arguments of a server; what is None is left to the environment."""
    return ["entrance_server", *_options({"data-dir": data_dir, "host": host, "port": port})]


def gateway_command(host: str | None, port: int | None, server: str | None) -> list[str]:
    """The module and arguments of a gateway; what is None is left to the environment."""
    return ["entrance_gateway", *_options({"host": host, "port": port, "server-target": server})]


def _options(values: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items() if value is not None]


async def _poll(child: Child, look: Callable[[], Awaitable[T | None]]) -> T:
    """What a look finds, as soon as it finds something.

    Raises:
        Problem: the child ended before, or it took too long.
    """

    async def until_found() -> T:
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(POLL_INTERVAL)

    try:
        async with asyncio.timeout(START_TIMEOUT):
            return await _first([until_found(), child.ended()])
    except TimeoutError:
        message = f"the {child.name} did not start within {START_TIMEOUT:g} seconds"
        raise Problem(message, ExitCode.FAILED) from None


async def _first(works: Sequence[Coroutine[None, None, T]]) -> T:
    """What the first to end gives or raises; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
