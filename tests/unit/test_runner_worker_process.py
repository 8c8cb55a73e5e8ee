"""What a worker process tells of a run, whatever its two threads do at that moment."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from entrance_runner.errors import ErrorCode

DEADLINE = 60.0  # seconds


class Connection:
    """The runner's end of the socket."""

    def __init__(self, connection: socket.socket, lines: BinaryIO) -> None:
        self._connection = connection
        self._lines = lines

    def send(self, *messages: dict[str, Any]) -> None:
        """Sends messages at once."""
        self._connection.sendall(b"".join(json.dumps(one).encode() + b"\n" for one in messages))

    def next(self) -> dict[str, Any]:
        """The next message."""
        line = self._lines.readline()
        assert line, "the worker has ended"
        message: dict[str, Any] = json.loads(line)
        return message

    def to_end(self) -> list[dict[str, Any]]:
        """The messages up to the end of a run."""
        messages = [self.next()]
        while messages[-1]["kind"] != "end":
            messages.append(self.next())
        return messages


@contextmanager
def working(name: str) -> Iterator[Connection]:
    """A worker process of a class of `gated_workers`."""
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE)
    with ours, ours.makefile("rb") as lines:
        with theirs:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c"),
                    "from entrance_runner.worker_process import main; main()",
                    *(f"tests.unit.gated_workers:{name}", str(theirs.fileno())),
                ],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[2],
            )
        with process:
            try:
                yield Connection(ours, lines)
            finally:
                process.kill()


def run(run_id: str, *, directory: Path, code: str = "") -> dict[str, Any]:
    """The request to run code."""
    return {
        "kind": "run",
        "run_id": run_id,
        "code": code,
        "run_type": "sql",
        "options": {},
        "result_directory": str(directory),
    }


def test_progress_that_comes_too_late_is_not_told_as_that_of_the_next_run(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with working("Slow") as worker:
        worker.send(run("first", directory=tmp_path, code=str(pipe)))
        worker.to_end()
        pipe.write_text("go on")
        worker.send(run("second", directory=tmp_path, code=str(pipe)))
        told = [one.get("fraction") for one in worker.to_end()]
    assert told == [1.0, None]


def test_a_run_whose_engine_is_lost_as_it_ends_has_ended_well(tmp_path: Path) -> None:
    with working("Lost") as worker:
        worker.send(run("run", directory=tmp_path))
        assert worker.to_end()[-1]["error"] is None


def test_a_held_run_is_interrupted_before_it_goes_on(tmp_path: Path) -> None:
    with working("Held") as worker:
        worker.send({"kind": "hold"}, run("run", directory=tmp_path))
        assert worker.next()["kind"] == "progress"
        worker.send({"kind": "interrupt", "run_id": "run"}, {"kind": "go_on"})
        error = worker.to_end()[-1]["error"]
    assert error == {"code": ErrorCode.CANCELLED, "message": "was held"}
