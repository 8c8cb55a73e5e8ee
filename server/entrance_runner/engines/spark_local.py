"""A Spark of the service's own, for sessions that name none: `python -m … --directory D`.

One for each data directory, on loopback, with a token. It outlives the server, and ends by itself
when nobody has been connected for a while; SIGUSR1 lets it end with the last connection.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

import psutil

from entrance_runner import guard

HOST = "127.0.0.1"
READY_FILE = "ready.json"
LOCK_FILE = "lock"  # held while it runs
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
MEMORY = "2g"
START_TIMEOUT = 120.0  # seconds
STOP_TIMEOUT = 5.0  # seconds
TICK = 0.5  # seconds


def spark_home() -> Path | None:
    """Where the installed package has Spark itself; None for the light client, or none at all."""
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        return None
    home = Path(found.origin).parent
    return home if (home / "jars").is_dir() else None


def is_possible() -> bool:
    """Whether Spark and a Java are here."""
    return spark_home() is not None and shutil.which("java") is not None


class LocalSpark:
    """The Java program, and whether anybody needs it."""

    def __init__(self, directory: Path, idle_timeout: float) -> None:
        self._directory = directory
        self._ready = directory / READY_FILE
        self._idle_timeout = idle_timeout
        self._needed = time.time()
        self._port = _free_port()
        self._token = secrets.token_urlsafe(32)

    def run(self) -> None:
        """Starts it, tells where it is, and returns when it has ended."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _exit)
        signal.signal(signal.SIGUSR1, self._end_when_alone)
        with self._program() as program:
            self._wait_until_listening(program)
            self._tell()
            self._needed = time.time()
            while program.poll() is None and not self._is_needless(program.pid):
                time.sleep(TICK)
            self._ready.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _program(self) -> Iterator[subprocess.Popen[bytes]]:
        program = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            cwd=self._directory,
            env={
                **os.environ,
                "SPARK_CONNECT_AUTHENTICATE_TOKEN": self._token,
                "SPARK_DAEMON_MEMORY": MEMORY,
                "SPARK_LOCAL_IP": HOST,
                "PYSPARK_PYTHON": sys.executable,
            },
        )
        try:
            yield program
        finally:
            self._ready.unlink(missing_ok=True)
            program.terminate()
            try:
                program.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    def _command(self) -> list[str]:
        home = spark_home()
        if home is None:
            raise SystemExit("there is no Spark here; install entrance[spark-local]")
        temporary = self._directory / "tmp"
        temporary.mkdir(exist_ok=True)
        settings = {
            "spark.connect.grpc.binding.address": HOST,
            "spark.connect.grpc.binding.port": str(self._port),
            "spark.driver.bindAddress": HOST,
            "spark.driver.host": HOST,
            "spark.local.dir": str(temporary),
            "spark.sql.warehouse.dir": str(self._directory / "warehouse"),
            "spark.ui.enabled": "false",
        }
        return [
            *(str(home / "bin" / "spark-class"), "org.apache.spark.deploy.SparkSubmit"),
            *("--class", SERVER, "--master", "local[*]", "--name", "entrance"),
            *("--driver-java-options", f"-Djava.io.tmpdir={temporary} -XX:-UsePerfData"),
            *(word for pair in settings.items() for word in ("--conf", "=".join(pair))),
        ]

    def _wait_until_listening(self, program: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while program.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self._port)) == 0:
                    return
            time.sleep(TICK)
        raise SystemExit("Spark did not start; the lines above tell more")

    def _tell(self) -> None:
        told = {"url": f"sc://localhost:{self._port}", "password": self._token}
        temporary = self._ready.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"pid": os.getpid(), "secrets": told}, file)
        temporary.replace(self._ready)

    def _is_needless(self, pid: int) -> bool:
        """Whether nobody has been connected, and no server has asked for it, for so long."""
        with contextlib.suppress(FileNotFoundError):
            self._needed = max(self._needed, self._ready.stat().st_mtime)
        if self._has_connections(pid):
            self._needed = time.time()
        return time.time() - self._needed > self._idle_timeout

    def _has_connections(self, pid: int) -> bool:
        try:
            connections = psutil.Process(pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        return any(
            one.status == psutil.CONN_ESTABLISHED and one.laddr.port == self._port
            for one in connections
        )

    def _end_when_alone(self, number: int, frame: FrameType | None) -> None:
        self._idle_timeout = 0.0
        self._needed = 0.0


def main() -> int:
    """Reads the command line, and runs a Spark unless the directory has one already.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--idle-timeout", type=float, required=True, metavar="SECONDS")
    arguments = parser.parse_args()

    def work() -> None:
        with (arguments.directory / LOCK_FILE).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of one before, which is ending
            LocalSpark(arguments.directory, arguments.idle_timeout).run()

    return guard.exit_like(guard.run(work))


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
