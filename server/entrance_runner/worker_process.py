"""The inside of a worker process: an engine's library in the main thread, control in another.

Run by the runner (`worker.py`). What the engine prints goes to the job's log. When the runner goes
away, so does the process.
"""

from __future__ import annotations

import abc
import importlib
import json
import os
import queue
import select
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from entrance_runner import lines
from entrance_runner.engine import (
    Application,
    EngineUnavailable,
    InvalidOption,
    Level,
    Progress,
)
from entrance_runner.errors import ErrorCode, RunFailed
from entrance_runner.results import ResultDirectory, ResultFile

TICK = 0.25  # seconds between looks at the progress
RECEIVE_BYTES = 64 * 1024
LOST = 75  # the exit status of a worker whose engine was lost between runs


@dataclass(frozen=True, slots=True)
class Task:
    """A run as the worker gets it. `results` writes files; `tell_result` reports them."""

    code: str
    run_type: str
    options: Mapping[str, str]
    results: ResultDirectory
    _channel: Channel
    _may_go_on: threading.Event

    def message(self, level: Level, text: str) -> None:
        """Prints a line of the engine's own."""
        sys.stdout.write(lines.message(level, text))
        sys.stdout.flush()

    def wait_while_held(self) -> None:
        """Returns when a statement may begin, which is at once unless the run is paused."""
        if not self._may_go_on.is_set():
            self.message(Level.INFO, "paused before the next statement")
            self._may_go_on.wait()

    def tell_result(self, result: ResultFile) -> None:
        """Reports a complete result set."""
        self._channel.send(kind="result", result=result.to_json())


class Worker(abc.ABC):
    """An engine inside a worker process. `open` and `run` are called in the main thread."""

    @property
    def usable(self) -> bool:
        """Whether another run can follow."""
        return True

    @abc.abstractmethod
    def open(self, options: Mapping[str, str]) -> None:
        """Starts the engine.

        Raises:
            EngineUnavailable: it does not start.
            InvalidOption: it refuses an option.
        """

    @abc.abstractmethod
    def run(self, task: Task) -> None:
        """Runs code.

        Raises:
            RunFailed: the code did not succeed, or was interrupted.
        """

    @abc.abstractmethod
    def interrupt(self) -> None:
        """Makes `run` end soon. Called from the control thread, again until it has ended."""

    @abc.abstractmethod
    def progress(self) -> Progress | None:
        """How far `run` is. Called from the control thread."""

    def applications(self) -> Sequence[Application]:
        """What `run` uses on a cluster. Called from the control thread."""
        return ()

    def check(self) -> bool:
        """Whether another run can follow. Called between runs, again and again."""
        return True


class Channel:
    """Messages to and from the runner; any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._buffer = bytearray()

    def send(self, **message: Any) -> None:
        """Sends one message; waits while the runner does not read."""
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            self._connection.sendall(data)

    def receive(self, timeout: float) -> Iterator[dict[str, Any]]:
        """The messages that came until one came or the time was over.

        Raises:
            EOFError: the runner is gone.
        """
        if not select.select([self._connection], [], [], timeout)[0]:
            return
        data = self._connection.recv(RECEIVE_BYTES)
        if not data:
            raise EOFError
        self._buffer += data
        *whole, rest = self._buffer.split(b"\n")
        self._buffer = rest
        yield from map(json.loads, whole)


class Service:
    """Serves one worker to the runner."""

    def __init__(self, worker: Worker, channel: Channel) -> None:
        self._worker = worker
        self._channel = channel
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._running: str | None = None  # a run's id
        self._interrupted: str | None = None
        self._told: Progress | None = None
        self._told_applications: Sequence[Application] = ()
        self._telling = threading.Lock()  # no word of a run follows its end
        self._may_go_on = threading.Event()
        self._may_go_on.set()

    def serve(self) -> None:
        """Works until the runner goes away; never returns."""
        threading.Thread(target=self._control, name="control", daemon=True).start()
        while True:
            match self._requests.get():
                case {"kind": "open", "options": options}:
                    self._open(options)
                case {"kind": "run"} as request:
                    self._run(request)

    def _open(self, options: Mapping[str, str]) -> None:
        try:
            self._worker.open(options)
        except (EngineUnavailable, InvalidOption) as error:
            refused = isinstance(error, InvalidOption)
            self._channel.send(kind="refused", option=refused, message=str(error))
        else:
            self._channel.send(kind="opened")

    def _run(self, request: Mapping[str, Any]) -> None:
        task = Task(
            code=request["code"],
            run_type=request["run_type"],
            options=request["options"],
            results=ResultDirectory(Path(request["result_directory"])),
            _channel=self._channel,
            _may_go_on=self._may_go_on,
        )
        error: dict[str, Any] | None = None
        self._told, self._told_applications = None, ()
        self._running = request["run_id"]
        try:
            self._worker.run(task)
        except RunFailed as failure:
            error = {"code": failure.code, "message": failure.message}
        except Exception as unexpected:
            error = {"code": ErrorCode.INTERNAL, "message": f"the engine failed: {unexpected!r}"}
        progress, applications = self._worker.progress(), self._worker.applications()
        with self._telling:
            self._tell(progress, applications)
            sys.stdout.flush()
            self._channel.send(kind="end", error=error, usable=self._worker.usable)
            self._running = None

    def _control(self) -> None:
        try:
            while True:
                for request in self._channel.receive(TICK):
                    self._take(request)
                if running := self._running:
                    self._interrupt()
                    self._tell_progress(running)
                elif not self._worker.check():
                    os._exit(LOST)
        except (EOFError, OSError):
            os._exit(0)

    def _take(self, request: dict[str, Any]) -> None:
        match request:
            case {"kind": "interrupt", "run_id": run_id}:
                self._interrupted = run_id
                self._interrupt()  # at once, since what follows may let the next statement begin
            case {"kind": "hold"}:
                self._may_go_on.clear()
            case {"kind": "go_on"}:
                self._may_go_on.set()
            case _:
                self._requests.put(request)

    def _interrupt(self) -> None:
        if self._running and self._running == self._interrupted:
            self._worker.interrupt()

    def _tell_progress(self, run_id: str) -> None:
        progress, applications = self._worker.progress(), self._worker.applications()
        with self._telling:
            if self._running == run_id:
                self._tell(progress, applications)

    def _tell(self, progress: Progress | None, applications: Sequence[Application]) -> None:
        if progress and progress != self._told:
            self._told = progress
            self._channel.send(kind="progress", **asdict(progress))
        if applications != self._told_applications:
            self._told_applications = applications
            self._channel.send(kind="applications", applications=[*map(asdict, applications)])


def main() -> None:
    """Serves the worker class and the socket that the command line names."""
    name, descriptor = sys.argv[1:]
    os.set_inheritable(int(descriptor), False)
    module, _, attribute = name.partition(":")
    worker: Worker = getattr(importlib.import_module(module), attribute)()
    with socket.socket(fileno=int(descriptor)) as connection:
        Service(worker, Channel(connection)).serve()
