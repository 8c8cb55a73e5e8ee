"""The `entrance` command on a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.command import ENTRANCE, Command
from tests.support.waiting import PATIENCE

# makes the terminal at stdin the controlling one, so that Ctrl-C is a signal
_ON_TERMINAL = """
import os, sys
os.login_tty(0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class TerminalCommand(Command):
    """Runs commands with pipes or on a terminal."""

    def with_environment(self, **changes: str) -> TerminalCommand:
        """The same command with other variables."""
        return TerminalCommand({**self.environment, **changes}, self.directory)

    @contextmanager
    def on_terminal(
        self, *arguments: str, columns: int = 80, **environment: str
    ) -> Iterator[Terminal]:
        """Runs it on a terminal of its own, and ends it with the block."""
        outer, inner = pty.openpty()
        size = {"COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color"}
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, ENTRANCE, *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            cwd=self.directory,
            env={**self.environment, **size, **environment},
        )
        os.close(inner)
        try:
            yield Terminal(outer, process)
        finally:
            process.kill()
            process.wait()
            os.close(outer)


class Terminal:
    """What a command on a terminal showed so far, and its keyboard."""

    def __init__(self, descriptor: int, process: subprocess.Popen[Any]) -> None:
        self._descriptor = descriptor
        self._process = process
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Reads until a text is shown."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} was not shown in {self.shown!r}"
            assert self._read(), f"it ended without {text!r}: {self.shown!r}"

    def press(self, key: bytes) -> None:
        """Presses a key."""
        os.write(self._descriptor, key)

    def wait(self) -> int:
        """Reads to the end; the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < deadline, f"it did not end: {self.shown!r}"
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE)
        assert ready, f"nothing more was shown after {self.shown!r}"
        try:
            piece = os.read(self._descriptor, 65536)
        except OSError:  # how a terminal tells that the last process has closed it
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)
