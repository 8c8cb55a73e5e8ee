"""Which processes descend from one, found without a look at all the others of the machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import psutil

MOST_LOOKS = 5


def descendants(pid: int) -> set[psutil.Process]:
    """All processes below one, zombies too."""
    if not _is_told():
        return set(psutil.Process(pid).children(recursive=True))
    return _processes(_settled(_below, pid))


def children(pid: int) -> set[psutil.Process]:
    """The processes whose parent it is, zombies too."""
    if not _is_told():
        return set(psutil.Process(pid).children())
    return _processes(_settled(_children, pid))


def _is_told() -> bool:
    """Whether this system lists the children of each task, which not every Linux does."""
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def _settled(look: Callable[[int], set[int]], pid: int) -> set[int]:
    """What is found twice: one that ends meanwhile may hide another, or hand its children on."""
    found = look(pid)
    for _ in range(MOST_LOOKS):
        before, found = found, look(pid)
        if found == before:
            break
    return found


def _below(pid: int) -> set[int]:
    found: set[int] = set()
    above = [pid]
    while above:
        new = _children(above.pop()) - found
        found |= new
        above += new
    return found


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    with contextlib.suppress(OSError):  # it has ended
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
                found.update(map(int, text.split()))
    return found


def _processes(pids: set[int]) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.add(psutil.Process(pid))
    return found
