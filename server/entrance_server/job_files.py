"""The directories of jobs as a whole: found, measured, removed. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from entrance_server.domain import ids


def size(root: Path, task_id: int) -> int:
    """The bytes of all files of a job; 0 where there are none."""
    total = 0
    for folder, _, names in os.walk(root / ids.directory_of(task_id)):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def remove(root: Path, task_id: int) -> None:
    """Removes the directory of a job; one that is not there is no error."""
    directory = root / ids.directory_of(task_id)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)
    with contextlib.suppress(OSError):  # others are in it
        directory.parent.rmdir()


def set_aside(root: Path, task_id: int, target: Path) -> None:
    """Moves the directory of a job to where nothing looks for it."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    (root / ids.directory_of(task_id)).rename(target)


def found(root: Path, *, first: int = 0) -> Iterator[Sequence[int]]:
    """The numbers of all jobs that have a directory, those side by side at once.

    `first` leaves out what is only below smaller numbers.
    """
    for parent in _numbered(root):
        if parent >= first // ids.JOBS_SIDE_BY_SIDE:
            yield _numbered(root / str(parent))


def _numbered(directory: Path) -> Sequence[int]:
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())
