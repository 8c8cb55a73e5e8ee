"""The `entrance` command as a shell would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.waiting import PATIENCE

ENTRANCE = Path(sys.executable).with_name("entrance")


@dataclass(frozen=True)
class Finished:
    """How a command ended and what it wrote."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")[:-1]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What a command with `--json` wrote."""
        return [json.loads(line) for line in self.lines]

    @property
    def error(self) -> dict[str, Any]:
        """The error that a command with `--json` told."""
        error: dict[str, Any] = json.loads(self.stderr)["error"]
        return error


class Command:
    """Runs commands in one caller's name."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory

    def run(self, *arguments: str | Path, input: bytes = b"") -> Finished:
        """Runs a command to its end, with pipes for its input and output."""
        done = subprocess.run(
            [ENTRANCE, *arguments],
            input=input,
            capture_output=True,
            env=self.environment,
            cwd=self.directory,
            timeout=PATIENCE,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr.decode())

    def ok(self, *arguments: str | Path, input: bytes = b"") -> Finished:
        """As `run`, for a command that must succeed."""
        finished = self.run(*arguments, input=input)
        assert finished.code == 0, finished.stderr
        return finished

    def json(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """What a command with `--json` that must succeed wrote."""
        return self.ok(*arguments, "--json").objects

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Starts a command whose output is read as it comes."""
        return subprocess.Popen(
            [ENTRANCE, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            cwd=self.directory,
        )
