"""Starts runner processes on this machine, and tells whether one still lives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import grpc.aio
import psutil

from entrance_server import threads
from entrance_server.domain.job import SessionRecord
from entrance_server.engines.isolation import SessionIsolation
from entrance_server.engines.processes import SESSION_VARIABLE, Orphans, ended
from entrance_server.engines.runners import CHANNEL_OPTIONS, Runner, Squeezed
from entrance_server.engines.setup import Setup, set_up
from entrance_server.machine import machine_name

# What user code may see of the server's own environment.
PASSED_ENVIRONMENT = (
    "PATH",
    "JAVA_HOME",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
)

_SESSION = re.compile(r"[0-9a-f]{16}(?![0-9a-zA-Z])")  # at the head of what a session has
_START_FIELD = 19  # of what follows the name in /proc/<pid>/stat
_STAT_MOST = 4096  # bytes of that

REAP_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class RunnerFiles:
    """What a runner has on the disk: its session's directory, and what is named as its socket."""

    directory: Path
    socket: Path

    def paths(self) -> Sequence[Path]:
        """Where that is, whether it is there or not."""
        return [self.directory, *self.socket.parent.glob(f"{self.socket.name}*")]


@dataclass(frozen=True, slots=True)
class RunnerProcess:
    """A runner on this machine, known by what outlives a restart of the server."""

    session_id: str
    address: str
    pid: int
    process_start: float
    directory: str

    def find(self) -> psutil.Process | None:
        """The process, or None when it has ended or its pid belongs to another one now."""
        try:
            return psutil.Process(self.pid) if self.is_alive() else None
        except psutil.NoSuchProcess:
            return None

    @property
    def host(self) -> str:
        """This machine."""
        return machine_name()

    def channel(self) -> grpc.aio.Channel:
        """A new connection to the socket."""
        return grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)

    def is_listening(self) -> bool:
        """Whether there is the socket."""
        return _socket(self).exists()

    def is_alive(self) -> bool:
        """Whether the runner runs, or is frozen."""
        try:
            return _look_at(self.pid) == (self.process_start, False)
        except psutil.NoSuchProcess:
            return False

    def loss(self) -> str | None:
        """Nothing: the exit status tells it."""
        return None

    def kill_tree(self) -> None:
        """Ends the runner and all that descends from it, by force."""
        process = self.find()
        if process is None:
            return
        members = [process]
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end at any moment by itself
            members = [*process.children(recursive=True), process]
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)


class LocalLauncher:
    """Starts runners as detached children, each with a directory and a socket of its own."""

    def __init__(
        self,
        *,
        isolation: SessionIsolation,
        runtime_dir: Path,
        python_executable: str,
        orphan_timeout: float,
        working_directories: Sequence[Path] = (),
    ) -> None:
        self._isolation = isolation
        self._sessions_dir = isolation.sessions_dir
        self._runtime_dir = runtime_dir
        self._python = python_executable or sys.executable
        self._orphan_timeout = orphan_timeout
        self._working_directories = working_directories
        # plain Popen, since asyncio's own transport kills its child when the loop closes
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._launched = set[str]()  # from before there is anything of one on
        self._left: set[RunnerFiles] = set()  # which could not be removed yet
        self._orphans = Orphans()

    def directory(self, session_id: str) -> Path:
        """The session's own directory."""
        return self._sessions_dir / session_id

    def work_directory(self, session_id: str) -> Path:
        """The working directory of the session's user code."""
        return self.directory(session_id) / "work"

    async def set_up(self, session_id: str, options: Mapping[str, str]) -> Setup:
        """What a session is opened with; its environment has nothing of the server's settings.

        Raises:
            SessionRefused: its working directory is not there or not allowed.
        """
        return await asyncio.to_thread(
            set_up,
            options,
            own_directory=self.work_directory(session_id),
            environment=plain_environment(),
            fixed_environment={SESSION_VARIABLE: session_id},
            allowed=self._working_directories,
        )

    async def launch(self, options: Mapping[str, str], squeezed: Squeezed) -> RunnerProcess:
        """Starts a runner that waits for a session, whatever that has for options.

        Raises:
            OSError: the process or its directory could not be made.
        """
        session_id = secrets.token_hex(8)
        files = self._files(session_id)
        address = f"unix:{files.socket}"
        self._launched.add(session_id)
        try:
            child = await threads.run_in_thread(None, self._start, session_id, address)
        except BaseException:  # who is cancelled meanwhile may have it started
            await self._undo(session_id, files)
            raise
        return RunnerProcess(
            session_id, address, child.pid, start_of(child.pid), str(files.directory.resolve())
        )

    async def _undo(self, session_id: str, files: RunnerFiles) -> None:
        if (child := self._children.pop(session_id, None)) is not None:
            child.kill()
            await asyncio.to_thread(child.wait)
            await self._orphans.end(session_id)
        await asyncio.to_thread(self._remove, session_id, files)
        self._launched.discard(session_id)

    def attach(self, record: SessionRecord) -> RunnerProcess:
        """The runner of a session that an earlier server opened, or another one on this machine."""
        return RunnerProcess(
            record.session_id,
            record.address,
            record.pid,
            record.process_start,
            record.directory or str(self.directory(record.session_id)),
        )

    def _start(self, session_id: str, address: str) -> subprocess.Popen[bytes]:
        directory = self._isolation.make_directory(session_id)
        self.work_directory(session_id).mkdir(mode=0o700)
        # -P, since it must import nothing from the session's directory
        command = [self._python, "-P", "-m", "entrance_runner", "--address", address]
        with open(directory / "runner.log", "ab", opener=_private) as output:
            child = self._children[session_id] = subprocess.Popen(
                [
                    *command,
                    f"--orphan-timeout={self._orphan_timeout}",
                    f"--scratch={self._isolation.scratch(session_id, self._runtime_dir)}",
                    *self._isolation.arguments(session_id),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                start_new_session=True,
                env=_runner_environment(session_id),
            )
        return child

    async def reap(self, runner: Runner) -> int | None:
        """Waits for the end of a runner, by force after a while, and removes what it left.

        Returns:
            Its exit status, negative for a signal; None for a runner that another server started.
        """
        try:
            async with asyncio.timeout(REAP_TIMEOUT):
                await ended(runner.pid, runner.is_alive)
        except TimeoutError:
            runner.kill_tree()
            await ended(runner.pid, runner.is_alive)
        child = self._children.pop(runner.session_id, None)
        status = child.wait() if child else None  # it has ended, so this only collects its status
        if status != 0:
            await self._orphans.end(runner.session_id)
        await asyncio.to_thread(self._remove, runner.session_id, _files_of(runner))
        self._launched.discard(runner.session_id)
        return status

    async def found(self) -> set[str]:
        """The names of sessions that have files here and that this object did not launch."""
        return await asyncio.to_thread(self._found) - self._launched

    async def end_stray(self, session_id: str) -> None:
        """Ends whatever belongs to a session by force, and removes what it left."""
        await self._orphans.end(session_id)
        await asyncio.to_thread(self._remove, session_id, self._files(session_id))

    def _files(self, session_id: str) -> RunnerFiles:
        """What a runner has that this server starts."""
        return RunnerFiles(self.directory(session_id), self._runtime_dir / session_id)

    def _found(self) -> set[str]:
        directories = [path for path in (self._sessions_dir, self._runtime_dir) if path.exists()]
        found = (_SESSION.match(path.name) for one in directories for path in one.iterdir())
        return {name[0] for name in found if name is not None}

    def _remove(self, session_id: str, files: RunnerFiles) -> None:
        """Removes a session's files, and those that could not be removed before."""
        self._isolation.end(session_id)
        self._left.add(files)
        for one in list(self._left):
            paths = one.paths()
            for path in paths:
                _remove(path)
            if not any(path.exists() for path in paths):
                self._left.discard(one)


def _socket(runner: Runner) -> Path:
    return Path(runner.address.removeprefix("unix:"))


def _files_of(runner: Runner) -> RunnerFiles:
    return RunnerFiles(Path(runner.directory), _socket(runner))


def plain_environment() -> dict[str, str]:
    """What programs that are not the server itself have of its environment."""
    return {name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _runner_environment(session_id: str) -> dict[str, str]:
    python_path = os.environ.get("PYTHONPATH")
    own = {SESSION_VARIABLE: session_id}
    return plain_environment() | own | ({"PYTHONPATH": python_path} if python_path else {})


def start_of(pid: int) -> float:
    """When a process started, by a clock that nobody sets: seconds since the machine's start.

    Seconds since the epoch where the system tells no better.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    return _look_at(pid).start


class _Look(NamedTuple):
    start: float  # as `start_of`
    has_ended: bool  # and waits for its parent to notice


def _look_at(pid: int) -> _Look:
    try:
        # the name, in parentheses, may have anything in it
        fields = _stat(pid).rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        process = psutil.Process(pid)
        return _Look(process.create_time(), process.status() == psutil.STATUS_ZOMBIE)
    return _Look(int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK"), fields[0] == b"Z")


def _stat(pid: int) -> bytes:
    """What the system tells of a process; each job asks, and a file object takes twice as long."""
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _STAT_MOST)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
