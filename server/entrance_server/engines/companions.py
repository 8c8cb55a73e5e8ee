"""Programs that sessions of an engine share, such as a Spark of the service's own.

An engine names the module of one. It is started before the first session that needs it, detached,
so that it outlives this server; it writes `ready.json` into its directory once it serves, and ends
by itself when nobody is connected to it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrance_server.engines.failures import SessionRefused
from entrance_server.engines.isolation import Level
from entrance_server.engines.launcher import plain_environment
from entrance_server.engines.registry import EngineRegistry

READY_FILE = "ready.json"
LOCK_FILE = "lock"  # held while it runs
LOG_FILE = "program.log"
IDLE_TIMEOUT = 300.0  # seconds
START_TIMEOUT = 150.0  # seconds
LOOK = 0.1  # seconds
SHOWN_CHARACTERS = 300  # of the last line of a program that does not start


class Companions:
    """The companions below a directory, one for each module."""

    def __init__(
        self, engines: EngineRegistry, *, directory: Path, python_executable: str, isolation: Level
    ) -> None:
        self._engines = engines
        self._directory = directory
        self._python = python_executable or sys.executable
        self._isolation = isolation
        self._starting = asyncio.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    async def secrets(self, engine_type: str, options: Mapping[str, str]) -> Mapping[str, str]:
        """What a session with these settings needs to reach its companion; nothing without one.

        Starts it where it does not run.

        Raises:
            SessionRefused: it does not start, or must not.
        """
        engine = self._engines.find(engine_type)
        module = engine.companion(options) if engine else None
        if module is None:
            return {}
        if self._isolation in ("user", "sandbox"):
            raise SessionRefused(
                f"at isolation {self._isolation} engine {engine_type} has no program of the "
                "service's own, since that would run code of all users as the server's account; "
                "name another one in the job's settings"
            )
        async with self._starting:
            ready = await asyncio.to_thread(self._running, module)
            return ready or await self._start(module)

    async def aclose(self) -> None:
        """Lets each end with its last connection, since this server makes no further ones."""
        await asyncio.to_thread(self._let_go)

    def _running(self, module: str) -> Mapping[str, str] | None:
        ready = _ready(self._directory / module, needed=True)
        return ready["secrets"] if ready else None

    async def _start(self, module: str) -> Mapping[str, str]:
        directory = self._directory / module
        child = await asyncio.to_thread(self._launch, module, directory)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while (ready := await asyncio.to_thread(self._running, module)) is None:
                    if child.poll() is not None:
                        raise SessionRefused(f"{module} ended: {_last_line(directory / LOG_FILE)}")
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            child.terminate()
            raise SessionRefused(f"{module} did not start in {START_TIMEOUT:g} s") from None
        return ready

    def _launch(self, module: str, directory: Path) -> subprocess.Popen[bytes]:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / READY_FILE).unlink(missing_ok=True)
        if earlier := self._children.pop(module, None):
            earlier.poll()
        with open(directory / LOG_FILE, "wb") as output:
            child = subprocess.Popen(
                [
                    *(self._python, "-P", "-m", module),
                    *("--directory", str(directory), "--idle-timeout", str(IDLE_TIMEOUT)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                start_new_session=True,
                env=plain_environment(),
            )
        self._children[module] = child
        return child

    def _let_go(self) -> None:
        for file in self._directory.glob(f"*/{READY_FILE}"):
            if ready := _ready(file.parent, needed=False):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(ready["pid"], signal.SIGUSR1)


def _ready(directory: Path, *, needed: bool) -> dict[str, Any] | None:
    """What a companion wrote that runs, as its lock tells; touches that if it is needed."""
    file = directory / READY_FILE
    try:
        with (directory / LOCK_FILE).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None  # nobody holds it
    except BlockingIOError:
        pass
    except FileNotFoundError:
        return None
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if needed:
            os.utime(file)
    except FileNotFoundError:
        return None
    return told


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:SHOWN_CHARACTERS] if lines else "it told nothing"
