"""Runs the `entrance` command as a process of its own, with pipes or on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = 60.0  # seconds; only a test that fails takes it

# makes the terminal at stdin the controlling one, so that Ctrl-C is a signal
_ON_TERMINAL = """
import os, sys
os.login_tty(0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@dataclass(frozen=True)
class Command:
    """The command with an environment that names a service."""

    environment: Mapping[str, str]
    folder: Path

    def run(
        self, *arguments: str, input: bytes | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end, with pipes at all three streams."""
        done = self._run(arguments, input, environment)
        out, err = done.stdout.decode(), done.stderr.decode()
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def content(self, *arguments: str) -> bytes:
        """The bytes that it writes to stdout."""
        done = self._run(arguments, None, {})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(
        self, arguments: Sequence[str], input: bytes | None, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "entrance.cli", *arguments],
            input=b"" if input is None else input,
            capture_output=True,
            cwd=self.folder,
            env={**os.environ, **self.environment, **environment},
            timeout=TIMEOUT,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts it with pipes; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "entrance.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, **self.environment},
        )

    @contextmanager
    def on_terminal(
        self, *arguments: str, columns: int = 80, **environment: str
    ) -> Iterator[Terminal]:
        """Runs it on a terminal of its own, and ends it with the block."""
        outer, inner = pty.openpty()
        size = {"COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color"}
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, "-m", "entrance.cli", *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            cwd=self.folder,
            env={**os.environ, **self.environment, **size, **environment},
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
        deadline = time.monotonic() + TIMEOUT
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} was not shown in {self.shown!r}"
            assert self._read(), f"it ended without {text!r}: {self.shown!r}"

    def press(self, key: bytes) -> None:
        """Presses a key."""
        os.write(self._descriptor, key)

    def wait(self) -> int:
        """Reads to the end; the exit code."""
        deadline = time.monotonic() + TIMEOUT
        while self._read():
            assert time.monotonic() < deadline, f"it did not end: {self.shown!r}"
        return self._process.wait(TIMEOUT)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], TIMEOUT)
        assert ready, f"nothing more was shown after {self.shown!r}"
        try:
            piece = os.read(self._descriptor, 65536)
        except OSError:  # how a terminal tells that the last process has closed it
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)
