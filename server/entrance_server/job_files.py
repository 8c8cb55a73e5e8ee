"""The directories of jobs as a whole: found, measured, removed. Every function here blocks."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from entrance_server.domain import ids


class Elsewhere(Protocol):
    """Files of ended jobs that are not in the jobs' directories any more.

    Files are named by their paths below a job's directory, with `/`. Every method raises
    Unavailable where there are such files, and they can't be had now.
    """

    async def fetch(self, task_id: int, names: Collection[str]) -> Path | None:
        """A directory that has copies of some files of a job now; None where there are none.

        Copies may go at any time; one that was opened can be read to its end.
        """

    async def modify_times(self, task_id: int) -> Mapping[str, datetime]:
        """When each file of a job was made; nothing where there are none."""


def names(root: Path, task_id: int) -> Sequence[str]:
    """The regular files of a job, by their paths below its directory."""
    directory = root / ids.directory_of(task_id)
    return [
        os.path.relpath(os.path.join(folder, name), directory)
        for folder, _, files in os.walk(directory)
        for name in sorted(files)
        if stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode)
    ]


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
