"""The service under test: real programs on one data directory, started again whenever they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from tests.support import settable_clock
from tests.support.daemon import Daemon
from tests.support.footprint import Footprint
from tests.support.service import new_tokens
from tests.support.settable_clock import SettableClock
from tests.system.campaign.history import Crash
from tests.system.campaign.proxy import HOST, Proxy

USERS = ("alice", "bob", "carol")
DISK_SIZE = "768m"
RESTART_PAUSE = 0.2  # seconds
SETTINGS = {
    "ENTRANCE_MIN_FREE_BYTES": str(16 * 1024 * 1024),
    "ENTRANCE_GROUP_RUNNING": "5",
    "ENTRANCE_KILL_GRACE": "1",
    "ENTRANCE_MAX_SESSIONS": "40",
    "ENTRANCE_ORPHAN_TIMEOUT": "30",
    "ENTRANCE_SHUTDOWN_GRACE": "2",
    # longer than a campaign, and less than a clock is set ahead
    "ENTRANCE_RETENTION_AGE": str(24 * 3600),
    "ENTRANCE_RETENTION_INTERVAL": "5",
}


class Installation:
    """Server and gateway, each behind a proxy, and a supervisor that starts them again.

    `output` is a directory that outlives it, for the programs' own logs.
    """

    def __init__(self, root: Path, output: Path, *, own_disk: bool) -> None:
        self.root = root
        self.own_disk = own_disk
        self.data_dir = root / "data"
        self.footprint = Footprint(root)
        self.clock = SettableClock(root / "ahead")
        environment = {**self.footprint.environment, **SETTINGS, **self.clock.environment}
        self.server = Daemon("server", ["entrance_server"], root=output, environment=environment)
        self.gateway = Daemon("gateway", ["entrance_gateway"], root=output, environment=environment)
        self.to_server, self.to_gateway, self.gateway_to_server = Proxy(), Proxy(), Proxy()
        self.tokens: dict[str, str] = {}
        self.crashes: list[Crash] = []
        self._whole = asyncio.Event()

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """All ways that a client's bytes take."""
        return self.to_server, self.to_gateway, self.gateway_to_server

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps both programs running within the context, then ends them by force."""
        self.tokens = await new_tokens(self.data_dir, USERS)
        async with contextlib.AsyncExitStack() as stack:
            for proxy in self.proxies:
                await stack.enter_async_context(proxy.running())
            stack.push_async_callback(asyncio.to_thread, self._end_by_force)
            await asyncio.to_thread(self._start_server)
            await asyncio.to_thread(self._start_gateway)
            self._keeper = asyncio.create_task(self._keep_running())
            try:
                yield
            finally:
                await self._let_go()

    @property
    def admin_token(self) -> str:
        """The token that the server made."""
        return (self.data_dir / "admin.token").read_text().strip()

    async def stop(self) -> list[int]:
        """Stops both as an operator does; their exit statuses."""
        await self._let_go()
        return [
            await asyncio.to_thread(daemon.stop)
            for daemon in (self.gateway, self.server)
            if daemon.runs
        ]

    def runners(self) -> dict[str, list[psutil.Process]]:
        """The processes of each runner, by session: the guard, then the one that hosts it."""
        found = defaultdict[str, list[psutil.Process]](list)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if "entrance_runner" in command and str(self.root) in " ".join(command):
                    address = command[command.index("--address") + 1]
                    found[address.rsplit("/", 1)[-1]].append(process)
        return found

    def kill(self, daemon: Daemon) -> bool:
        """Kills a program without a warning; False for one that did not run."""
        if not daemon.runs:
            return False
        self._whole.clear()
        daemon.kill()
        return True

    async def whole(self) -> None:
        """Returns when both programs answer."""
        await self._whole.wait()

    async def _let_go(self) -> None:
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep_running(self) -> None:
        while True:
            for name, daemon, start in (
                ("server", self.server, self._start_server),
                ("gateway", self.gateway, self._start_gateway),
            ):
                if not daemon.runs:
                    settable_clock.forget(daemon.pid)
                    if self._whole.is_set():
                        self.crashes.append(Crash(name, daemon.process.returncode))
                    self._whole.clear()
                    # one that does not start now, on a disk that is full for instance, may do later
                    with contextlib.suppress(AssertionError):
                        await asyncio.to_thread(start)
            if self.server.runs and self.gateway.runs:
                self._whole.set()
            await asyncio.sleep(RESTART_PAUSE)

    def _start_server(self) -> None:
        port = str(self.to_server.upstream)
        told = self.server.start("--data-dir", str(self.data_dir), "--host", HOST, "--port", port)
        self.to_server.upstream = self.gateway_to_server.upstream = told["port"]

    def _start_gateway(self) -> None:
        port, target = str(self.to_gateway.upstream), f"{HOST}:{self.gateway_to_server.port}"
        told = self.gateway.start("--host", HOST, "--port", port, "--server-target", target)
        self.to_gateway.upstream = told["port"]

    def _end_by_force(self) -> None:
        for daemon in (self.gateway, self.server):
            if daemon.runs:
                daemon.kill()
            settable_clock.forget(daemon.pid)
        for process in self.footprint.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


@contextlib.asynccontextmanager
async def installed(output: Path) -> AsyncIterator[Installation]:
    """A running service in a directory of its own, with a small disk of its own where root may."""
    root = Path(tempfile.mkdtemp(prefix="entrance-campaign-"))
    (root / "data").mkdir(mode=0o700)
    own_disk = _mount_disk(root / "data")
    try:
        installation = Installation(root, output, own_disk=own_disk)
        async with installation.running():
            yield installation
    finally:
        if own_disk:
            await asyncio.to_thread(_unmount_disk, root / "data")
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)


def _mount_disk(at: Path) -> bool:
    if os.getuid() != 0 or shutil.which("mount") is None:
        return False
    options = f"size={DISK_SIZE},mode=0700"
    command = ["mount", "-t", "tmpfs", "-o", options, "entrance-campaign", str(at)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _unmount_disk(at: Path) -> None:
    subprocess.run(["umount", "--lazy", str(at)], check=False)
