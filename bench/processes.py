"""The processes that a benchmark measures: the real service, and references on the same machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tests.support.daemon import Daemon
from tests.support.footprint import Footprint
from tests.support.waiting import until

HOST = "127.0.0.1"
END_TIMEOUT = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class Service:
    """A running server, and its gateway where it has one."""

    grpc_port: int
    http_port: int
    token: str
    data_dir: Path
    server_pid: int
    gateway_pid: int = 0

    @property
    def target(self) -> str:
        """The server's gRPC target."""
        return f"{HOST}:{self.grpc_port}"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The administrator's credentials, for a bare gRPC call."""
        return (("authorization", f"Bearer {self.token}"),)


@contextmanager
def directory() -> Iterator[Path]:
    """A directory for the data of services; whatever they and their jobs left is ended with it."""
    root = Path(tempfile.mkdtemp(prefix="entrance-bench-"))
    footprint = Footprint(root)
    try:
        yield root
    finally:
        footprint.end_by_force()
        until(lambda: not footprint.processes(), "no process of the benchmark is left")
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def service(environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Server and gateway with embedded defaults, in a directory of their own."""
    with directory() as root, service_at(root / "data", environment) as started:
        yield started


@contextmanager
def service_at(data_dir: Path, environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Server and gateway on a data directory, which is below one of `directory`."""
    gateway = Daemon(
        f"{data_dir.name}.gateway",
        ["entrance_gateway"],
        root=data_dir.parent,
        environment=_environment(data_dir, environment),
    )
    with (
        server_at(data_dir, environment) as server,
        running(gateway, "--port", "0", "--server-target", server.target) as port,
    ):
        yield replace(server, http_port=port, gateway_pid=gateway.pid)


def on_postgresql(url: str, shared_dir: Path) -> Mapping[str, str]:
    """The settings by which a server uses a database that others may use too."""
    return {"ENTRANCE_STORE_URL": url, "ENTRANCE_SHARED_DIR": str(shared_dir)}


@contextmanager
def server_at(data_dir: Path, environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """A server alone on a data directory, from the moment when it answers on."""
    server = Daemon(
        f"{data_dir.name}.server",
        ["entrance_server"],
        root=data_dir.parent,
        environment=_environment(data_dir, environment),
    )
    with running(server, "--data-dir", str(data_dir), "--host", HOST, "--port", "0") as port:
        yield Service(
            grpc_port=port,
            http_port=0,
            token=(data_dir / "admin.token").read_text().strip(),
            data_dir=data_dir,
            server_pid=server.pid,
        )


@contextmanager
def reference(module: str, *arguments: str) -> Iterator[int]:
    """The port of a reference that runs in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        daemon = Daemon("reference", [module], root=Path(name), environment=os.environ)
        with running(daemon, *arguments) as port:
            yield port


@contextmanager
def program(command: Sequence[str], output: IO[bytes] | int = subprocess.DEVNULL) -> Iterator[None]:
    """Any other program as long as the block; killed if it does not end when it is told to."""
    started = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        started.terminate()
        try:
            started.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def running(daemon: Daemon, *arguments: str) -> Iterator[int]:
    """The port of a program that runs as long as the block."""
    try:
        port: int = daemon.start(*arguments)["port"]
        yield port
    finally:
        if daemon.runs:
            daemon.stop()


def _environment(data_dir: Path, settings: Mapping[str, str] | None) -> Mapping[str, str]:
    return {**os.environ, "TMPDIR": str(data_dir.parent / "tmp"), **(settings or {})}
