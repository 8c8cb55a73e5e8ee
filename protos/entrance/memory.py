"""Keeps what a process knows from other processes of the same account."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def hide_memory() -> bool:
    """Keeps this process's memory and environment from processes that are not root's.

    They can't trace it either, and it dumps no core. Tells whether the system can do that.
    """
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
