"""What Linux lets a process ask for about its family; elsewhere each is refused."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Makes this process the parent of orphans below it; tells whether the system can do that."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(parent: int) -> bool:
    """Has SIGHUP sent here when the parent ends; tells whether the system can do that."""
    possible = _prctl(_PR_SET_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != parent:  # it has ended meanwhile
        signal.raise_signal(signal.SIGHUP)
    return possible


def hide_memory() -> bool:
    """Keeps other processes of the account from reading this one's memory and environment."""
    return _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
