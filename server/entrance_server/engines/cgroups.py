"""A cgroup (version 2) for each session, where the machine lets us have one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = frozenset({"cpu", "memory", "pids"})
PERIOD = 100_000  # microseconds
KILL_TIMEOUT = 5.0  # seconds
KILL_INTERVAL = 0.01  # seconds


class NoCgroups(Exception):
    """There is no cgroup to use; the message says why."""


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What the processes of one session may use together; 0 is no limit."""

    memory: int
    processes: int
    cores: float

    def files(self) -> dict[str, str]:
        """The limits as the content of a cgroup's files."""
        return {
            "memory.max": str(self.memory or "max"),
            "pids.max": str(self.processes or "max"),
            "cpu.max": f"{int(self.cores * PERIOD) or 'max'} {PERIOD}",
        }


class Cgroups:
    """Makes cgroups below a directory that this process may write."""

    def __init__(self, base: Path, limits: GroupLimits) -> None:
        self.base = base
        self._limits = limits

    def make(self, session_id: str) -> Path:
        """Makes a session's cgroup with its limits.

        Raises:
            OSError: it can't be made.
        """
        path = self._path(session_id)
        path.mkdir(exist_ok=True)
        for name, text in self._limits.files().items():
            (path / name).write_text(text)
        return path

    def end(self, session_id: str) -> None:
        """Ends every process of a session by force, and removes its cgroup. Blocks."""
        path = self._path(session_id)
        if not path.exists():
            return
        with contextlib.suppress(OSError):  # a kernel before 5.14
            (path / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + KILL_TIMEOUT
        while not _removed(path) and time.monotonic() < deadline:
            time.sleep(KILL_INTERVAL)

    def _path(self, session_id: str) -> Path:
        return self.base / f"entrance-{session_id}"


def usable_base(configured: Path | None, *, proc: Path = Path("/proc/self")) -> Path:
    """The directory below which sessions can have cgroups.

    That is the configured one, or this process's own cgroup, or the one around that, as where a
    service manager delegates a cgroup and keeps the service in one below it.

    Raises:
        NoCgroups: none can be used.
    """
    refusals = []
    for candidate in [configured] if configured else _candidates(proc):
        try:
            _check(candidate)
        except NoCgroups as refusal:
            refusals.append(str(refusal))
        else:
            return candidate
    raise NoCgroups("; ".join(refusals) or "cgroup version 2 is not mounted")


def _candidates(proc: Path) -> Sequence[Path]:
    mounts = list(_mounts(proc / "mountinfo"))
    own = [
        line.removeprefix("0::/")
        for line in _lines(proc / "cgroup")
        if line.startswith("0::/")  # version 2
    ]
    paths = [Path(mount, name) for mount in mounts for name in own]
    return [
        near
        for path in paths
        for near in (path, path.parent)
        if near not in Path(mounts[0]).parents
    ]


def _mounts(table: Path) -> Iterator[str]:
    for line in _lines(table):
        mount, _, system = line.partition(" - ")
        if system.startswith("cgroup2 "):
            yield mount.split()[4]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _check(base: Path) -> None:
    try:
        present = set((base / "cgroup.controllers").read_text().split())
    except OSError as error:
        raise NoCgroups(f"{base} is no cgroup: {error.strerror}") from None
    if missing := CONTROLLERS - present:
        raise NoCgroups(f"{base} has no controllers {', '.join(sorted(missing))}")
    try:
        switches = base / "cgroup.subtree_control"
        if CONTROLLERS - set(switches.read_text().split()):
            switches.write_text(" ".join(f"+{name}" for name in sorted(CONTROLLERS)))
        if not os.access(base, os.W_OK) or not os.access(base / "cgroup.procs", os.W_OK):
            raise NoCgroups(f"{base} is not this user's to change")
    except OSError as error:
        raise NoCgroups(f"{base} can't give controllers to sessions: {error.strerror}") from None


def _removed(path: Path) -> bool:
    for below, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(below)
        except FileNotFoundError:
            continue
        except OSError:  # a process in it is not gone yet
            return False
    return True
