"""The server's directories: made private, and used by one server at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

INSTANCE_FILE = "instance"
CLUSTER_KEY_FILE = "cluster.key"
_SOCKET_BYTES = 103  # of a path at most; macOS has the least
_LONGEST_SOCKET = "0123456789abcdef.d/private/kernel-5"
_SHORT_BASE = Path("/tmp")  # what is made there is private, or refused


class DataDirError(Exception):
    """The directory can't be used; the message says what to change."""


def made(shared_dir: Path) -> None:
    """Makes the directory of logs and results.

    Raises:
        DataDirError: it can't be made.
    """
    try:
        shared_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DataDirError(
            f"The directory {shared_dir} can't be used: {error.strerror}; choose another "
            "shared_dir."
        ) from None


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Makes the data directory and holds it for this server.

    Raises:
        DataDirError: it can't be written, or another server holds it.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirError(
            f"The data directory {data_dir} can't be used: {error.strerror}; choose another one "
            "with --data-dir."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataDirError(
            f"Another server uses the data directory {data_dir}; stop it, or choose another "
            "directory with --data-dir."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def runtime_dir(data_dir: Path) -> Iterator[Path]:
    """A private directory for sockets, whose paths may have only about 100 characters.

    It is in $XDG_RUNTIME_DIR or the directory for temporary files, and in /tmp where these are too
    long. It is removed at the end, unless a run that goes on has its socket there.

    Raises:
        DataDirError: somebody else made a directory of that name.
    """
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    path = Path(base) / f"entrance-{os.getuid()}-{digest}"
    if len(os.fsencode(path / _LONGEST_SOCKET)) > _SOCKET_BYTES:
        path = _SHORT_BASE / path.name
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise DataDirError(f"{path} exists and is not private to this user; remove it.")
    try:
        yield path
    finally:
        with suppress(OSError):
            path.rmdir()


def instance_name(data_dir: Path, configured: str, port: int) -> str:
    """The instance's name in execIDs: the configured one, or the one of the first start."""
    if configured:
        return configured
    path = data_dir / INSTANCE_FILE
    if not path.exists() or not path.read_text().strip():  # empty where the power failed
        host = socket.gethostname().replace("_", "-")[:64] or "localhost"
        path.write_text(f"{host}:{port}\n")
    return path.read_text().strip()


def cluster_key(shared_dir: Path) -> bytes:
    """What the servers of a store know each other's calls by; made by the first of them. Blocks.

    Raises:
        DataDirError: it can't be read or made.
    """
    path = shared_dir / CLUSTER_KEY_FILE
    try:
        return private_once(path, lambda: secrets.token_bytes(32))
    except OSError as error:
        raise DataDirError(
            f"The key {path} can't be used: {error.strerror}; let all servers of the store have "
            "the same shared_dir, and run as the same user."
        ) from None


def write_private(path: Path, content: bytes) -> None:
    """Makes or replaces a file that its owner alone may read, whole and durable. Blocks."""
    _written_beside(path, content).replace(path)


def private_once(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of such a file, made where it is missing; of several servers by one. Blocks."""
    with suppress(FileNotFoundError):
        return path.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = _written_beside(path, make())
    try:
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()
    return path.read_bytes()


def _written_beside(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary
