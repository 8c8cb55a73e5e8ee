"""An interrupt of SQL ends the statement that runs, and nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from entrance_runner.engines.duckdb_worker import DuckDBWorker
from entrance_runner.errors import RunFailed
from entrance_runner.results import ResultDirectory
from entrance_runner.statements import StatementFailed, StatementWorker
from entrance_runner.worker_process import Channel, Task


class Database(StatementWorker[str]):
    """A database in which an interrupt comes as a statement runs; it notes what it cancels."""

    def __init__(self, interrupted_in: str) -> None:
        super().__init__()
        self._interrupted_in = interrupted_in
        self._at = ""
        self.cancelled: list[str] = []

    def open(self, options: Any) -> None:
        pass

    def split(self, code: str) -> Sequence[str]:
        return code.split(";")

    def text(self, statement: str) -> str:
        return statement

    def execute(self, task: Task, index: int, statement: str) -> str:
        self._at = statement
        if statement == self._interrupted_in:
            self.interrupt()
        if self.cancelled:
            raise StatementFailed("cancelled")
        return "done"

    def cancel(self) -> None:
        self.cancelled.append(self._at)


class Connection:
    """A connection whose rollback takes so long that an interrupt comes meanwhile, and may fail."""

    def __init__(self, worker: DuckDBWorker, error: duckdb.Error | None = None) -> None:
        self._worker = worker
        self._error = error
        self.interrupted = False

    def rollback(self) -> None:
        self._worker.interrupt()
        if self._error:
            raise self._error

    def interrupt(self) -> None:
        self.interrupted = True


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    ours, theirs = socket.socketpair()
    may_go_on = threading.Event()
    may_go_on.set()
    with ours, theirs:
        yield Task(
            code="first;second",
            run_type="sql",
            options={},
            results=ResultDirectory(tmp_path),
            _channel=Channel(ours),
            _may_go_on=may_go_on,
        )


def test_a_statement_that_runs_is_cancelled_and_no_other_begins(task: Task) -> None:
    database = Database("first")
    with pytest.raises(RunFailed, match="statement 1 of 2: cancelled"):
        database.run(task)
    assert database.cancelled == ["first"]


def test_the_rollback_of_what_a_run_left_open_is_not_cancelled(task: Task) -> None:
    worker = DuckDBWorker()
    connection = worker._connection = Connection(worker)  # type: ignore[assignment]
    worker.finish(task)
    assert not connection.interrupted
    assert worker.usable


def test_a_session_whose_transaction_can_not_be_rolled_back_takes_no_other_run(task: Task) -> None:
    worker = DuckDBWorker()
    error = duckdb.InterruptException("Interrupted!")
    worker._connection = Connection(worker, error)  # type: ignore[assignment]
    worker.finish(task)
    assert not worker.usable
