"""The actor that holds a runner's place on a node of a Ray cluster, and starts it there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import ray

from entrance_server.engines.ray_order import Order, Place

LINGER = 5.0  # seconds after a runner's end in which its status can be asked for


class NotStarted(Exception):
    """The runner does not start on this node; the message says what to change."""


class RunnerActor:
    """Starts its runner when it is made, and ends with it; the runner ends with the actor."""

    def __init__(self, order: Order) -> None:
        self._me = ray.get_runtime_context().current_actor
        self._node = ray.util.get_node_ip_address()
        self._environment = {
            name: os.environ[name] for name in order.passed_environment if name in os.environ
        }
        self._error = ""
        try:
            self._child = self._start(order)
            self._address = self._read_address()
        except (OSError, NotStarted) as error:
            self._error = str(error)
        threading.Thread(target=self._watch, daemon=True).start()

    def _start(self, order: Order) -> subprocess.Popen[bytes]:
        directory = Path(order.directory)
        if not directory.is_dir():
            raise NotStarted(
                f"the node {self._node} does not see {directory}; let every node of the cluster "
                "mount shared_dir at the same path, for the same account as the server's"
            )
        host = f"ipv6:[{self._node}]" if ":" in self._node else f"ipv4:{self._node}"
        command = [order.python or sys.executable, "-P", "-m", "entrance_runner"]
        with open(directory / "runner.log", "ab", opener=_private) as output:
            child = subprocess.Popen(
                [*command, f"--address={host}:0", *order.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=directory,
                start_new_session=True,
                env={**self._environment, **_python_path(), **order.environment},
            )
        assert child.stdin is not None
        # it stays open: by its end the runner knows of the actor's
        child.stdin.write(json.dumps(dict(order.credentials)).encode() + b"\n")
        child.stdin.flush()
        return child

    def _read_address(self) -> str:
        assert self._child.stdout is not None
        line = self._child.stdout.readline().decode().strip()
        if not line:
            raise NotStarted(
                f"the runner ended with exit status {self._child.wait()} while it started on the "
                f"node {self._node}; runner.log in its directory tells more"
            )
        return line

    def _watch(self) -> None:
        if not self._error:
            self._child.wait()
        time.sleep(LINGER)
        ray.kill(self._me)

    async def place(self) -> dict[str, object]:
        """Where the runner is.

        Raises:
            NotStarted: nowhere.
        """
        if self._error:
            raise NotStarted(self._error)
        return asdict(Place(self._address, self._child.pid, self._node, self._environment))

    async def wait(self) -> int:
        """The runner's exit status, when it has ended."""
        return await asyncio.to_thread(self._child.wait)


def _python_path() -> dict[str, str]:
    path = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": path} if path else {}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
