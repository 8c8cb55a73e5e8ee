"""All processes below the runner: start, find, freeze, let go on, kill and reap them.

Runner and starter are made subreapers where the system has that (Linux), so that a process whose
parents have ended becomes a child of one of them and stays findable. Elsewhere such a process is
lost.
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

from entrance_runner import descent, prctl
from entrance_runner.isolation import Confinement
from entrance_runner.starter import Child, Starter

log = logging.getLogger(__name__)

FREEZE_TIMEOUT = 2.0  # seconds; a process in the middle of disk I/O stops when that is done
KILL_TIMEOUT = 10.0  # seconds
RESCAN = 0.005  # seconds
REAP_DELAY = 0.1  # seconds, so that many ends are one scan

_STOPPED = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP})


class Processes:
    """The processes below this one but for the starter, which starts and reaps most of them.

    Others have an owner who reaps them; their orphans are reaped here. `confinement` is how those
    that run user code are kept; None before the session opens.
    """

    def __init__(self, starter: Starter) -> None:
        self.confinement: Confinement | None = None
        self._starter = starter
        self._frozen: set[psutil.Process] = set()
        self._own: set[int] = {starter.pid}
        self._starting = 0
        # since there was nothing below: what was started, and whether by others than the starter
        self._begun: list[Child] = []
        self._begun_by_others = False
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

    @property
    def can_spawn(self) -> bool:
        """Whether another process can be started."""
        return not self._starter.is_lost

    async def spawn(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        output: int,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Starts a process in a session of its own, without input, that prints to `output`.

        It is confined as the installation asks for.

        Raises:
            OSError: it can't be started.
        """
        assert self.confinement is not None  # a session opens
        order = self.confinement.order(command, env, directory=cwd, descriptors=pass_fds)
        child = Child()
        self._begun.append(child)
        await self._starter.start(order, child, [output, *pass_fds])
        return child

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Keeps a child that is started otherwise from being taken for an orphan meanwhile."""
        self._begun_by_others = True
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
            process
            for process in descent.descendants(os.getpid())
            if process.pid != self._starter.pid and _status(process) != psutil.STATUS_ZOMBIE
        }

    async def survey(self) -> set[psutil.Process]:
        """`living`, without a look where the starter has told that there are none."""
        return set() if self._has_left_nothing() else await asyncio.to_thread(self.living)

    def _has_left_nothing(self) -> bool:
        match self._begun:
            case []:
                return not self._begun_by_others
            case [child]:
                return child.left_nothing and not self._begun_by_others
            case _:
                return False

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
        if self._has_left_nothing():
            self._begun.clear()
        else:
            await self._kill(keep)
        self._frozen.intersection_update(keep)

    async def _kill(self, keep: Collection[psutil.Process]) -> None:
        doomed: set[psutil.Process] = set()
        try:
            async with asyncio.timeout(KILL_TIMEOUT):
                while doomed := (await asyncio.to_thread(self.living)).difference(keep):
                    _send(doomed, signal.SIGSTOP)
                    _send(doomed, signal.SIGKILL)
                    await asyncio.sleep(RESCAN)
        except TimeoutError:
            log.error("processes that can't be killed: %s", sorted(p.pid for p in doomed))
        else:
            if not keep:  # what is just being started may come to live yet
                self._begun = [child for child in self._begun if not child.is_over]
                self._begun_by_others = self._starting > 0
        self.reap()

    def reap(self) -> None:
        """Collects orphans that have ended."""
        if self._starting:
            self._reap_soon()
            return
        children = descent.children(os.getpid())
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
