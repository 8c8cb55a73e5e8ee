"""One of our programs as a process: started, asked to stop, killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.waiting import PATIENCE, until


class Daemon:
    """A program that writes a file once it answers; its output is kept for whoever looks for it."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, root: Path, environment: Mapping[str, str]
    ) -> None:
        self.ready_file = root / f"{name}.ready"
        self.output = root / f"{name}.log"
        self.prefix: Sequence[str] = ()  # what its command begins with
        self._name = name
        self._command = [sys.executable, "-m", *arguments]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        assert self._process is not None, f"{self._name} was not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *arguments: str) -> dict[str, Any]:
        """Starts it, and gives what it wrote into its ready file."""
        self.ready_file.unlink(missing_ok=True)
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*self.prefix, *self._command, *arguments, "--ready-file", str(self.ready_file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
            )
        until(lambda: self.ready_file.exists() or not self.runs, f"{self._name} is ready")
        assert self.runs, f"{self._name} ended at its start:\n{self.output.read_text()[-4000:]}"
        told: dict[str, Any] = json.loads(self.ready_file.read_text())
        return told

    def stop(self) -> int:
        """Asks it to end, as an operator does; its exit status."""
        return self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it by force."""
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> int:
        """Sends a signal and waits for the end; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)
