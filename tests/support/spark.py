"""A real Spark: a standalone cluster on loopback with a Connect server, from the package's jars."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from tests.support.ports import free_port, free_ports
from tests.support.waiting import PATIENCE, until

HOST = "127.0.0.1"
MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
SUBMIT = "org.apache.spark.deploy.SparkSubmit"
CONNECT = "org.apache.spark.sql.connect.service.SparkConnectServer"
EXECUTOR_MEMORY = 512 * 1024**2
CORES = 2
SETTINGS: Mapping[str, str] = {
    "spark.driver.bindAddress": HOST,
    "spark.driver.host": HOST,
    "spark.executor.memory": "512m",
    "spark.connect.grpc.binding.address": HOST,
    "spark.connect.progress.reportInterval": "100ms",
    "spark.sql.shuffle.partitions": "4",
}


class Program:
    """A Java program of Spark's, with everything that it starts."""

    def __init__(self, name: str, arguments: Sequence[str], *, home: Path, root: Path) -> None:
        self.log = root / f"{name}.log"
        self._name = name
        # some seconds of compiling at the start, which a short life does not earn back
        options = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": HOST,
            "SPARK_DAEMON_MEMORY": "512m",
            "SPARK_WORKER_DIR": str(root / "work"),
            "SPARK_LOCAL_DIRS": str(root / "local"),
            "JAVA_TOOL_OPTIONS": options,
        }
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(home / "bin" / "spark-class"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=root,
                env=environment,
                start_new_session=True,
            )

    def answers(self, port: int) -> bool:
        """Whether something listens at a port; fails where the program has ended."""
        assert self._process.poll() is None, f"{self._name} ended:\n{self.log.read_text()[-4000:]}"
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0

    def signal(self, number: int) -> None:
        """Sends a signal to the program alone."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it by force, and all that it started."""
        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


class SparkCluster:
    """A master, a worker with two cores, and a Connect server that a test may kill and start."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._home = spark_home()
        self._master_port, self.port, self._ui_port = free_ports(3)
        self._programs: list[Program] = []

    @property
    def remote(self) -> str:
        """How clients reach it."""
        return f"sc://{HOST}:{self.port}"

    @property
    def ui(self) -> str:
        """Where the application tells of itself."""
        return f"http://{HOST}:{self._ui_port}"

    def start(self) -> None:
        """Starts all of it; returns when the Connect server listens."""
        port = str(self._master_port)
        ui = str(free_port())
        place = ("--host", HOST, "--webui-port")
        self.master = self._run("master", MASTER, *place, ui, "--port", port)
        until(lambda: self.master.answers(self._master_port), "the master answers")
        limits = ("--cores", str(CORES), "--memory", "768m")
        self.worker = self._run("worker", WORKER, *place, "0", *limits, self._master)
        self.start_connect()

    def start_connect(self) -> None:
        """Starts a Connect server, and with it an application, at the port of the one before."""
        settings = {
            **SETTINGS,
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.ui.port": str(self._ui_port),
            "spark.sql.warehouse.dir": str(self._root / "warehouse"),
        }
        options = [word for pair in settings.items() for word in ("--conf", "=".join(pair))]
        command = ("--class", CONNECT, "--master", self._master)
        self.connect = self._run("connect", SUBMIT, *command, *options)
        until(lambda: self.connect.answers(self.port), "the Connect server answers")
        until(lambda: self.connect.answers(self._ui_port), "the application tells of itself")
        assert self.running_jobs() == []  # the first answer takes seconds

    def freeze_connect(self) -> None:
        """Makes the Connect server silent."""
        self.connect.signal(signal.SIGSTOP)

    def thaw_connect(self) -> None:
        """Lets it speak again."""
        self.connect.signal(signal.SIGCONT)

    @property
    def application(self) -> str:
        """The application's id."""
        (one,) = self._told("applications")
        return str(one["id"])

    def running_jobs(self) -> list[dict[str, Any]]:
        """The jobs of Spark's own that run now."""
        jobs = self._told(f"applications/{self.application}/jobs?status=running")
        assert isinstance(jobs, list)
        return jobs

    def close(self) -> None:
        """Ends everything by force; it may be started again."""
        while self._programs:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._programs.pop().kill()

    @property
    def _master(self) -> str:
        return f"spark://{HOST}:{self._master_port}"

    def _run(self, name: str, *arguments: str) -> Program:
        program = Program(name, arguments, home=self._home, root=self._root)
        self._programs.append(program)
        return program

    def _told(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.ui}/api/v1/{path}", timeout=PATIENCE) as response:
            return json.load(response)


def missing() -> str | None:
    """What is missing for a Spark to run here; None for nothing."""
    java = shutil.which("java")
    if java is None:
        return "there is no java in PATH; install Java 17 (openjdk-17-jre-headless)"
    return None if spark_home().joinpath("jars").is_dir() else "pyspark is here without its jars"


def spark_home() -> Path:
    """Where the package has its jars and programs."""
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@contextmanager
def running_cluster() -> Iterator[SparkCluster]:
    """A cluster that runs until the end of the block."""
    root = Path(tempfile.mkdtemp(prefix="entrance-spark-"))
    cluster = SparkCluster(root)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(root, ignore_errors=True)
