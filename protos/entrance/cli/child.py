"""Runs a module as a child of `entrance serve` that ends when its parent does.

`python -m entrance.cli.child PARENT_PID MODULE [ARGUMENT...]`
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ties this process to its parent, then becomes the module."""
    parent, module, *arguments = sys.argv[1:]
    _end_with_parent(int(parent))
    sys.argv[:] = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_parent(parent: int) -> None:
    """Asks the kernel for SIGTERM at the parent's death; only Linux can."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)


if __name__ == "__main__":
    main()
