"""A service at each level of isolation, as an account for which that level means something."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.service import SETTINGS, Service, end_all_jobs

IS_ROOT = os.geteuid() == 0
PLAIN = 54_321  # an account that runs nothing else
SECRET = "a-secret-of-the-server"
MEBIBYTE = 2**20
MEMORY = 512 * MEBIBYTE
FILE_SIZE = 8 * MEBIBYTE
OPEN_FILES = 100
PROCESSES = 400
CPU_TIME = 3  # seconds

LIMITS = {
    "ENTRANCE_ISOLATION_LIMITS__MEMORY": str(MEMORY),
    "ENTRANCE_ISOLATION_LIMITS__FILE_SIZE": str(FILE_SIZE),
    "ENTRANCE_ISOLATION_LIMITS__OPEN_FILES": str(OPEN_FILES),
    "ENTRANCE_ISOLATION_LIMITS__PROCESSES": str(PROCESSES),
    "ENTRANCE_ISOLATION_LIMITS__CPU_TIME": str(CPU_TIME),
}
ACCOUNTS = {"ENTRANCE_USER_MAP": '{"alice": "nobody", "bob": "daemon"}'}


@dataclass(frozen=True)
class Installation:
    """A level, and whether the server runs as root."""

    level: str
    as_root: bool
    settings: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.level}-{'root' if self.as_root else 'plain'}"

    @property
    def is_possible(self) -> bool:
        """Whether it can be had here."""
        return IS_ROOT or not self.as_root


INSTALLATIONS = (
    Installation("none", as_root=False),
    Installation("limits", as_root=False),
    Installation("user", as_root=True, settings=ACCOUNTS),
    Installation("sandbox", as_root=True, settings=ACCOUNTS),
    Installation("sandbox", as_root=False),
)


@contextmanager
def started(installation: Installation) -> Iterator[Service]:
    """A server at a level; at the end it is stopped, and must have left nothing behind."""
    root = Path(tempfile.mkdtemp(prefix="entrance-test-"))
    level = {"ENTRANCE_ISOLATION": installation.level, "ENTRANCE_TEST_SECRET": SECRET}
    service = Service(root, {**SETTINGS, **LIMITS, **level, **installation.settings})
    service.server.prefix = prefix(root, installation)
    if installation.level == "user":
        service.sessions_dir = root / "data-sessions"
    root.chmod(0o711)
    if IS_ROOT and not installation.as_root:
        for path in [root, *root.rglob("*")]:
            os.chown(path, PLAIN, PLAIN)
    try:
        service.start_server()
        yield service
        end_all_jobs(service)
        service.stop()
        service.footprint.assert_clean()
    finally:
        service.close()
        shutil.rmtree(root, ignore_errors=True)


def prefix(root: Path, installation: Installation) -> Sequence[str]:
    """What a server's command begins with, to be another account's and find its Python."""
    if not IS_ROOT:
        return ()
    script = _view(root / "python")
    if not installation.as_root:
        script += f"exec setpriv --reuid={PLAIN} --regid={PLAIN} --clear-groups "
    else:
        script += "exec "
    return ("unshare", "--mount", "sh", "-ec", f'{script} "$@"', "sh")


def _view(kept: Path) -> str:
    """Commands that let every account reach this Python, where the machine's directories do not."""
    needed = {Path(sys.base_prefix), Path(sys.prefix), *map(Path, filter(None, sys.path))}
    behind = {path: barrier for path in needed if (barrier := _barrier(path))}
    outermost = sorted(path for path in behind if not set(path.parents) & set(behind))
    lines = []
    for number, path in enumerate(outermost):
        copy = kept / str(number)
        lines += [f"mkdir -p {copy}", f"mount --bind {shlex.quote(str(path))} {copy}"]
    for barrier in sorted(set(behind.values())):
        lines.append(f"mount -t tmpfs -o mode=755 none {shlex.quote(str(barrier))}")
    for number, path in enumerate(outermost):
        place = shlex.quote(str(path))
        lines += [f"mkdir -p {place}", f"mount --bind {kept / str(number)} {place}"]
    return "".join(f"{line}\n" for line in lines)


def _barrier(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    above = reversed([path, *path.parents])
    return next((one for one in above if not one.stat().st_mode & stat.S_IXOTH), None)
