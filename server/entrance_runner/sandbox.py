"""The command that puts another one into a sandbox, by bubblewrap."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What programs need to know of the machine; nothing in it is secret.
_CONFIGURATION = (
    "alternatives",
    "ca-certificates",
    "fonts",
    "group",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "passwd",
    "pki",
    "protocols",
    "resolv.conf",
    "services",
    "ssl",
    "timezone",
)
_SHARED_MEMORY = 64 * 1024 * 1024


def command(
    bwrap: str,
    *,
    readable: Iterable[Path],
    hidden: Iterable[Path],
    own: Iterable[Path],
    writable: Iterable[Path],
    temporary: Path,
    network: bool,
) -> list[str]:
    """The beginning of a command that runs the rest of it in a sandbox.

    Args:
        bwrap: The program.
        readable: What is shown beside the system's programs.
        hidden: Directories whose content is not shown though something around them is.
        own: What is shown all the same.
        writable: What is shown and may be changed.
        temporary: What is /tmp inside.
        network: Whether the network can be reached.
    """
    shown = _outermost({*readable, Path("/usr")}) - {Path("/usr")}
    covered = [path for path in hidden if any(path.is_relative_to(one) for one in shown)]
    return [
        bwrap,
        *_namespaces(network),
        *_system(),
        *("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"),
        *("--size", str(_SHARED_MEMORY), "--perms", "1777", "--tmpfs", "/dev/shm"),
        *("--bind", str(temporary), "/tmp"),
        *_each("--ro-bind-try", sorted(shown)),
        *(argument for path in covered for argument in ("--tmpfs", str(path))),
        *_each("--ro-bind", own),
        *_each("--bind", writable),
        *(argument for path in covered for argument in ("--remount-ro", str(path))),
        *("--remount-ro", "/"),
        *_capabilities(),
        "--",
    ]


def python_paths() -> Sequence[Path]:
    """What this interpreter and its packages consist of."""
    paths = {Path(entry).absolute() for entry in sys.path if entry}
    paths |= {Path(sys.prefix), Path(sys.base_prefix)}
    return [path for path in paths if path.exists()]


def _outermost(paths: Collection[Path]) -> set[Path]:
    return {path for path in paths if not any(one in path.parents for one in paths)}


def _namespaces(network: bool) -> list[str]:
    own = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() != 0:
        own += ["--unshare-user", "--disable-userns"]
    return own if network else [*own, "--unshare-net"]


def _capabilities() -> list[str]:
    if os.geteuid() != 0:
        return []
    # to become another account inside, after which none are left
    return ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]


def _system() -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for path in (Path("/", name) for name in _MERGED):
        if path.is_symlink():
            arguments += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    return [*arguments, *_each("--ro-bind-try", [Path("/etc", name) for name in _CONFIGURATION])]


def _each(option: str, paths: Iterable[Path]) -> list[str]:
    paths = list(paths)
    # bwrap itself would make the directories above as private as what it shows there
    above = sorted({str(path.parent) for path in paths})
    made = [argument for path in above for argument in ("--dir", path)]
    return made + [argument for path in paths for argument in (option, str(path), str(path))]
