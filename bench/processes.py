"""The processes that a benchmark measures: the real service, and references on the same machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 30.0  # seconds
POLL = 0.01  # seconds


@dataclass(frozen=True, slots=True)
class Service:
    """A running server and its gateway."""

    grpc_port: int
    http_port: int
    token: str
    data_dir: Path
    server_pid: int

    @property
    def target(self) -> str:
        """The server's gRPC target."""
        return f"127.0.0.1:{self.grpc_port}"


@contextmanager
def service(environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Server and gateway with embedded defaults, data in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="entrance-bench-") as name:
        directory = Path(name)
        with service_at(directory / "data", environment) as started:
            yield started


@contextmanager
def service_at(data_dir: Path, environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Server and gateway on a data directory."""
    ready = _ready_file(data_dir, "gateway")
    with server_at(data_dir, environment) as server:
        command = ["-m", "entrance_gateway", "--port", "0", "--server-target", server.target]
        with process([*command, "--ready-file", str(ready)], environment):
            yield replace(server, http_port=wait_for_port(ready))


@contextmanager
def server_at(data_dir: Path, environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """A server alone on a data directory, from the moment when it answers on."""
    ready = _ready_file(data_dir, "server")
    command = ["-m", "entrance_server", "--data-dir", str(data_dir), "--port", "0"]
    with process([*command, "--ready-file", str(ready)], environment) as started:
        yield Service(
            grpc_port=wait_for_port(ready),
            http_port=0,
            token=(data_dir / "admin.token").read_text().strip(),
            data_dir=data_dir,
            server_pid=started.pid,
        )


def _ready_file(data_dir: Path, name: str) -> Path:
    file = data_dir.with_suffix(f".{name}")
    file.unlink(missing_ok=True)
    return file


@contextmanager
def process(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that is ended with the block."""
    started = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def wait_for_port(ready_file: Path) -> int:
    """The port in a file that a process writes once it answers."""
    deadline = time.monotonic() + START_TIMEOUT
    while not ready_file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{ready_file.name} was not written")
        time.sleep(POLL)
    port: int = json.loads(ready_file.read_text())["port"]
    return port


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
