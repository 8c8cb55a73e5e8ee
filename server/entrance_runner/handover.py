"""Takes result files over from a directory that user code may change meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path


class NotHandedOver(Exception):
    """What has the name of a result is no file that can be taken over."""


def hand_over(name: str, source: Path, target: Path) -> None:
    """Moves a regular file into a directory of the runner's own, as the runner's. Blocks.

    Raises:
        NotHandedOver: there is no such file, or it has other names, or is no regular one.
        OSError: it can't be moved.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = _opened(source, flags | os.O_DIRECTORY)
    try:
        # user code may have put a pipe there, which would wait for a writer
        file = _opened(Path(name), flags | os.O_NONBLOCK, directory)
        try:
            _take(file, name, directory, target / name)
        finally:
            os.close(file)
    finally:
        os.close(directory)


def _opened(path: Path, flags: int, directory: int | None = None) -> int:
    try:
        return os.open(path, flags, dir_fd=directory)
    except OSError as error:
        raise NotHandedOver(f"{path.name} can't be opened: {error.strerror}") from None


def _take(file: int, name: str, directory: int, target: Path) -> None:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise NotHandedOver(f"{name} is not a regular file with one name")
    try:
        os.rename(name, target, src_dir_fd=directory)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with target.open("xb") as copy, os.fdopen(os.dup(file), "rb") as content:
            shutil.copyfileobj(content, copy)
        os.unlink(name, dir_fd=directory)
        return
    if not os.path.samestat(os.lstat(target), found):  # exchanged under our hands
        target.unlink()
        raise NotHandedOver(f"{name} was exchanged")
    os.fchown(file, os.geteuid(), os.getegid())
    os.fchmod(file, 0o600)
