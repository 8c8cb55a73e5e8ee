"""The service under test: real programs, started again whenever they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.footprint import Footprint
from tests.support.service import new_tokens, tokens_in
from tests.support.settable_clock import SettableClock
from tests.system.campaign.history import Crash
from tests.system.campaign.programs import Gateway, Program, Server
from tests.system.campaign.proxy import Proxy

USERS = ("alice", "bob", "carol")
DISK_SIZE = "768m"
RESTART_PAUSE = 0.2  # seconds
SETTINGS = {
    "ENTRANCE_MIN_FREE_BYTES": str(16 * 1024 * 1024),
    "ENTRANCE_GROUP_RUNNING": "5",
    "ENTRANCE_KILL_GRACE": "1",
    "ENTRANCE_MAX_SESSIONS": "40",
    "ENTRANCE_ORPHAN_TIMEOUT": "120",  # longer than a busy machine keeps servers away
    "ENTRANCE_SHUTDOWN_GRACE": "2",
    # longer than a campaign, and less than a clock is set ahead
    "ENTRANCE_RETENTION_AGE": str(24 * 3600),
    "ENTRANCE_RETENTION_INTERVAL": "5",
}


# What several servers have in addition.
SEVERAL = {"ENTRANCE_LEASE_SECONDS": "8"}


@dataclass(frozen=True, slots=True)
class Size:
    """How many servers and gateways there are; several servers share a PostgreSQL."""

    servers: int = 1
    gateways: int = 1


class Installation:
    """Servers and gateways, each behind proxies, and a supervisor that starts them again.

    `output` is a directory that outlives it, for the programs' own logs.
    """

    def __init__(
        self, root: Path, output: Path, *, own_disk: bool, size: Size, store_url: str
    ) -> None:
        self.root = root
        self.own_disk = own_disk
        self.data_dir = root / "data"
        self.files_dir = self.data_dir / "shared" if store_url else self.data_dir
        self.footprint = Footprint(root)
        self.clock = SettableClock(root / "ahead")
        self._store_url = store_url
        environment = {**self.footprint.environment, **SETTINGS, **self.clock.environment}
        if store_url:
            shared = {"ENTRANCE_STORE_URL": store_url, "ENTRANCE_SHARED_DIR": str(self.files_dir)}
            environment |= SEVERAL | shared
        self.servers = [
            Server(name, self._data_dir_of(name), output=output, environment=environment)
            for name in _names("server", size.servers)
        ]
        self.gateways = [
            Gateway(name, self.servers, output=output, environment=environment)
            for name in _names("gateway", size.gateways)
        ]
        self.tokens: dict[str, str] = {}
        self.crashes: list[Crash] = []
        self._whole = asyncio.Event()

    def _data_dir_of(self, name: str) -> Path:
        return self.data_dir / name if self._store_url else self.data_dir

    @property
    def is_one_server(self) -> bool:
        """Whether there is one, on a store in a file of its own."""
        return not self._store_url

    @property
    def programs(self) -> Sequence[Program]:
        """All of them, the servers first."""
        return [*self.servers, *self.gateways]

    @property
    def proxies(self) -> Sequence[Proxy]:
        """All ways that a client's bytes take."""
        return [proxy for program in self.programs for proxy in program.proxies]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the programs running within the context, then ends them by force."""
        if self._store_url:
            self.tokens = await tokens_in(self._store_url, USERS)
        else:
            self.tokens = await new_tokens(self.data_dir, USERS)
        async with contextlib.AsyncExitStack() as stack:
            for proxy in self.proxies:
                await stack.enter_async_context(proxy.running())
            stack.push_async_callback(asyncio.to_thread, self._end_by_force)
            for program in self.programs:
                await asyncio.to_thread(program.start)
            self._keeper = asyncio.create_task(self._keep_running())
            try:
                yield
            finally:
                await self._let_go()

    @property
    def admin_token(self) -> str:
        """The token that the first server made."""
        return (self.servers[0].data_dir / "admin.token").read_text().strip()

    async def stop(self) -> list[int]:
        """Stops all as an operator does; their exit statuses."""
        await self._let_go()
        return [
            await asyncio.to_thread(program.daemon.stop)
            for program in reversed(self.programs)
            if program.runs
        ]

    def runners(self) -> dict[str, list[psutil.Process]]:
        """The processes of each runner, by session: its guard, its host and its starter."""
        found = defaultdict[str, list[psutil.Process]](list)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if "entrance_runner" in command and str(self.root) in " ".join(command):
                    address = command[command.index("--address") + 1]
                    found[address.rsplit("/", 1)[-1]].append(process)
        return found

    def kill(self, program: Program) -> bool:
        """Kills a program without a warning; False for one that did not run."""
        if not program.runs:
            return False
        self._whole.clear()
        program.daemon.kill()
        return True

    async def whole(self) -> None:
        """Returns when all programs answer."""
        await self._whole.wait()

    async def _let_go(self) -> None:
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep_running(self) -> None:
        while True:
            ended = [program for program in self.programs if not program.runs]
            for program in ended:
                program.forget()
                if self._whole.is_set():
                    self.crashes.append(Crash(program.name, program.daemon.process.returncode))
            if ended:
                self._whole.clear()
            await asyncio.gather(*map(_start_again, ended))
            if all(program.runs for program in self.programs):
                self._whole.set()
            await asyncio.sleep(RESTART_PAUSE)

    def _end_by_force(self) -> None:
        for program in self.programs:
            program.end_by_force()
        self.footprint.end_by_force()


def _names(kind: str, count: int) -> Sequence[str]:
    return [kind] if count == 1 else [f"{kind}-{number}" for number in range(1, count + 1)]


async def _start_again(program: Program) -> None:
    """One that does not start now, on a disk that is full for instance, may do later."""
    with contextlib.suppress(AssertionError):
        await asyncio.to_thread(program.start)


@contextlib.asynccontextmanager
async def installed(output: Path, size: Size) -> AsyncIterator[Installation]:
    """A running service in a directory of its own, with a small disk of its own where root may."""
    root = Path(tempfile.mkdtemp(prefix="entrance-campaign-"))
    (root / "data").mkdir(mode=0o700)
    own_disk = _mount_disk(root / "data")
    try:
        with _store(size) as store_url:
            installation = Installation(
                root, output, own_disk=own_disk, size=size, store_url=store_url
            )
            async with installation.running():
                yield installation
    finally:
        if own_disk:
            await asyncio.to_thread(_unmount_disk, root / "data")
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)


@contextlib.contextmanager
def _store(size: Size) -> Iterator[str]:
    """The URL of what several servers share; "" for one, which has a file."""
    if size.servers == 1:
        yield ""
        return
    from tests.support.postgres import new_database, running_postgres  # one server needs no driver

    with running_postgres() as server, new_database(server) as url:
        yield url


def _mount_disk(at: Path) -> bool:
    if os.getuid() != 0 or shutil.which("mount") is None:
        return False
    options = f"size={DISK_SIZE},mode=0700"
    command = ["mount", "-t", "tmpfs", "-o", options, "entrance-campaign", str(at)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _unmount_disk(at: Path) -> None:
    subprocess.run(["umount", "--lazy", str(at)], check=False)
