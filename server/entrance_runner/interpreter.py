"""How the runner starts a Python process that can import what the runner can."""

from __future__ import annotations

import os
import sys

# What the process can import already stays in front.
_BOOTSTRAP = """\
import importlib, os, sys
path, module = sys.argv[1:3]
del sys.argv[1:3]
sys.path += [entry for entry in path.split(os.pathsep) if entry not in sys.path]
importlib.import_module(module).main()
"""


def python_command(module: str, *arguments: str, isolated: bool) -> list[str]:
    """The command that runs a module's `main` in this interpreter.

    An isolated process ignores the variables of its environment that concern Python.
    """
    flags = "-I" if isolated else "-P"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return [sys.executable, flags, "-X", "utf8", "-c", _BOOTSTRAP, path, module, *arguments]
