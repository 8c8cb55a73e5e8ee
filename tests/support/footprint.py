"""What a service has on the machine: its processes, and files that it made outside its data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.support.waiting import until


class Footprint:
    """Finds the processes of a service by its root: they have it as TMPDIR, or work below it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.home = root / "home"
        self.scratch = root / "tmp"
        for directory in (self.home, self.scratch):
            directory.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """A plain environment for the service, in which nothing leads out of its root."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        return {**kept, "HOME": str(self.home), "TMPDIR": str(self.scratch), "LANG": "C.UTF-8"}

    def processes(self) -> list[psutil.Process]:
        """Every living process of the service: its programs, runners, and all that jobs started."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def end_by_force(self) -> None:
        """Kills every process; one that has just ended by itself is no error."""
        _kill(self.processes())

    def runners(self, session_id: str = "") -> list[psutil.Process]:
        """The processes of runners, of one session or of all.

        There are three for each: the guard, the one that works, and the one that starts others.
        """
        found = [one for one in self.processes() if "-m entrance_runner " in _command(one)]
        found.sort(key=lambda process: (process.create_time(), process.pid))
        return [one for one in found if session_id in _command(one)]

    def kill_runners(self, session_id: str = "", parts: slice = slice(None)) -> None:
        """Kills the processes of runners, or some of each, of one session or of all."""
        _kill(self.runners(session_id)[parts])

    def working_below(self, directory: Path) -> list[psutil.Process]:
        """The processes whose working directory is there."""
        return [one for one in self.processes() if directory in (_cwd(one), *_cwd(one).parents)]

    def stray_files(self) -> list[Path]:
        """What is in the temporary directory and in the home."""
        return sorted([*self.scratch.rglob("*"), *self.home.rglob("*")])

    def assert_clean(self) -> None:
        """Fails unless every process ends soon and no file is left outside the data."""
        until(lambda: not self.processes(), "no process of the service is left")
        assert self.stray_files() == []

    def _owns(self, process: psutil.Process) -> bool:
        root = str(self._root)
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            return (
                _environment(process).get("TMPDIR", "").startswith(root)
                or str(_cwd(process)).startswith(root)
                or root in _command(process)
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):  # its end may be that of one before it
            process.kill()


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # a server and its runners hide theirs
        return {}


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def _cwd(process: psutil.Process) -> Path:
    try:
        return Path(process.cwd())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return Path("/")


def gone(pids: Iterable[int]) -> bool:
    """Whether none of some processes lives; one that waits to be collected does not."""
    return not any(_lives(pid) for pid in pids)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
