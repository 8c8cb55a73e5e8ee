"""All processes below the runner: find, freeze, let go on, kill and reap them.

The runner is made a subreaper where the system has that (Linux), so that a process whose parents
have ended becomes the runner's child and stays findable. Elsewhere such a process is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from entrance_runner import prctl
from entrance_runner.isolation import Confinement

log = logging.getLogger(__name__)

FREEZE_TIMEOUT = 2.0  # seconds; a process in the middle of disk I/O stops when that is done
KILL_TIMEOUT = 10.0  # seconds
RESCAN = 0.005  # seconds
REAP_DELAY = 0.1  # seconds, so that many ends are one scan

_STOPPED = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP})


class Processes:
    """The processes below this one. What it starts itself is reaped by asyncio, orphans here.

    `confinement` is how those that run user code are kept; None before the session opens.
    """

    def __init__(self) -> None:
        self.confinement: Confinement | None = None
        self._self = psutil.Process()
        self._frozen: set[psutil.Process] = set()
        self._own: set[int] = set()
        self._starting = 0
        self._reaping: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def adopting(self) -> Iterator[None]:
        """Reaps orphans while the context is open."""
        if not prctl.become_subreaper():
            log.warning(
                "this system has no subreaper: a process that leaves its parent can't be ended"
            )
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap_soon)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGCHLD)
            if self._reaping:
                self._reaping.cancel()
            self.reap()

    async def spawn(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        output: int,
        pass_fds: Sequence[int] = (),
    ) -> asyncio.subprocess.Process:
        """Starts a process in a session of its own, without input, that prints to `output`.

        It is confined as the installation asks for.

        Raises:
            OSError: it can't be started.
        """
        if self.confinement:
            command = self.confinement.command(command)
            env = self.confinement.environment(env)
        with self.starting():
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                start_new_session=True,
            )
            self._own.add(process.pid)
        return process

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Keeps a child that is being started from being taken for an orphan."""
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1

    def own(self, pid: int) -> None:
        """Leaves the reaping of a child to whoever started it."""
        self._own.add(pid)

    def living(self) -> set[psutil.Process]:
        """All processes below this one that have not ended."""
        return {
            p for p in self._self.children(recursive=True) if _status(p) != psutil.STATUS_ZOMBIE
        }

    def signal(self, number: int) -> None:
        """Sends a signal to all of them."""
        _send(self.living(), number)

    async def freeze(self) -> None:
        """Stops all of them, those that are born meanwhile too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FREEZE_TIMEOUT):
                while moving := await asyncio.to_thread(self._moving):
                    _send(moving, signal.SIGSTOP)
                    self._frozen |= moving
                    await asyncio.sleep(RESCAN)

    def thaw(self) -> None:
        """Lets those go on that `freeze` stopped."""
        _send(self._frozen, signal.SIGCONT)
        self._frozen.clear()

    async def kill(self, *, keep: Collection[psutil.Process] = ()) -> None:
        """Ends all of them by force, but for `keep`, and returns when none is left.

        They are stopped first, since one that is being killed could still fork.
        """
        doomed: set[psutil.Process] = set()
        try:
            async with asyncio.timeout(KILL_TIMEOUT):
                while doomed := (await asyncio.to_thread(self.living)).difference(keep):
                    _send(doomed, signal.SIGSTOP)
                    _send(doomed, signal.SIGKILL)
                    await asyncio.sleep(RESCAN)
        except TimeoutError:
            log.error("processes that can't be killed: %s", sorted(p.pid for p in doomed))
        self._frozen.intersection_update(keep)
        self.reap()

    def reap(self) -> None:
        """Collects orphans that have ended."""
        if self._starting:
            self._reap_soon()
            return
        children = self._self.children()
        self._own &= {child.pid for child in children}
        for child in children:
            if child.pid not in self._own and _status(child) == psutil.STATUS_ZOMBIE:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)

    def _reap_soon(self) -> None:
        if self._reaping is None or self._reaping.cancelled():
            self._reaping = asyncio.get_running_loop().call_later(REAP_DELAY, self._reap_now)

    def _reap_now(self) -> None:
        self._reaping = None
        self.reap()

    def _moving(self) -> set[psutil.Process]:
        return {process for process in self.living() if _status(process) not in _STOPPED}


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_ZOMBIE)


def _send(processes: Collection[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.send_signal(number)
