"""Engines that run SQL statement by statement: what is told of each, and how far a run is."""

from __future__ import annotations

import abc
import contextlib
import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from entrance_runner.engine import Level, Part, Progress
from entrance_runner.errors import ErrorCode, RunFailed
from entrance_runner.worker_process import Task, Worker

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PARTS = 1000  # of the progress; a run of more statements counts several in one
SHOWN_CHARACTERS = 80  # of a statement, in the log

Statement = TypeVar("Statement")


class StatementFailed(Exception):
    """A statement, or the code as a whole, did not succeed; the message is the database's."""


class StatementWorker(Worker, Generic[Statement]):
    """A worker whose code is a list of statements; the first that fails is the last."""

    def __init__(self) -> None:
        self.interrupted = False
        self.ends = threading.Lock()  # held where a statement ends, and while one is cancelled
        self._executes = False
        self._statements = Statements(0)

    @abc.abstractmethod
    def split(self, code: str) -> Sequence[Statement]:
        """The statements of some code, without those that are empty.

        Raises:
            StatementFailed: it has none that can be read.
        """

    @abc.abstractmethod
    def text(self, statement: Statement) -> str:
        """A statement as it was written."""

    @abc.abstractmethod
    def execute(self, task: Task, index: int, statement: Statement) -> str:
        """Runs a statement, tells its result set, and gives its outcome in a few words.

        Raises:
            StatementFailed: it did not succeed.
        """

    def fraction(self) -> float:
        """How far the running statement is, from 0 to 1. Called from the control thread."""
        return 0.0

    def tell_table(self, task: Task, index: int, rows: pa.RecordBatchReader) -> str:
        """Writes a statement's rows into a result set; how many they were, in words."""
        result = task.results.add_table(rows, statement=index)
        task.tell_result(result)
        return counted(result.row_count)

    def finish(self, task: Task) -> None:
        """Puts in order what the statements left behind, however they ended."""

    def run(self, task: Task) -> None:
        """Runs the statements one by one."""
        self.interrupted = False
        self._statements = Statements(0)
        try:
            self._run_all(task)
        finally:
            self.finish(task)

    def interrupt(self) -> None:
        """Lets no other statement begin, and cancels the running one, but not what follows it."""
        self.interrupted = True
        with self.ends:
            if self._executes:
                self.cancel()

    def cancel(self) -> None:
        """Makes `execute` end soon, which it does not before this returns."""

    def progress(self) -> Progress | None:
        """The statements that are done, and how far the running one is."""
        return self._statements.progress(self.fraction())

    def _run_all(self, task: Task) -> None:
        try:
            statements = self.split(task.code)
        except StatementFailed as failure:
            raise RunFailed(ErrorCode.SQL_ERROR, str(failure)) from None
        self._statements = Statements(len(statements))
        for number, statement in enumerate(statements, 1):
            self._run_one(task, number, statement)

    def _run_one(self, task: Task, number: int, statement: Statement) -> None:
        statements = self._statements
        task.wait_while_held()
        if self.interrupted:
            raise RunFailed(ErrorCode.CANCELLED, "interrupted")
        name = f"statement {number} of {statements.count}"
        task.message(Level.INFO, f"{name} begins: {_shown(self.text(statement))}")
        begin = time.monotonic()
        statements.begin()
        try:
            with self._executing():
                outcome = self.execute(task, number - 1, statement)
        except StatementFailed as failure:
            statements.fail()
            where = f"{name}: " if statements.count > 1 else ""
            raise RunFailed(ErrorCode.SQL_ERROR, f"{where}{failure}".rstrip()) from None
        statements.succeed()
        task.message(Level.INFO, f"{name} ended: {outcome} in {time.monotonic() - begin:.3f} s")

    @contextlib.contextmanager
    def _executing(self) -> Iterator[None]:
        self._executes = True
        try:
            yield
        finally:
            with self.ends:
                self._executes = False


class Statements:
    """How far the statements of a run are. Written by the main thread, read by the other."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._done = 0
        self._running = 0
        self._failed = 0

    def begin(self) -> None:
        """Notes that the next statement runs."""
        self._running = 1

    def succeed(self) -> None:
        """Notes that the running statement is done."""
        self._running = 0
        self._done += 1

    def fail(self) -> None:
        """Notes that the running statement failed."""
        self._running = 0
        self._failed = 1

    def progress(self, of_running: float) -> Progress | None:
        """How far the run is, when the running statement is so far; None without statements."""
        if not self.count:
            return None
        running = min(max(of_running, 0.0), 1.0) if self._running else 0.0
        size = math.ceil(self.count / MAX_PARTS)
        parts = tuple(self._part(first, size) for first in range(0, self.count, size))
        return Progress((self._done + running) / self.count, parts)

    def _part(self, first: int, size: int) -> Part:
        total = min(size, self.count - first)
        current = first <= self._done < first + total
        return Part(
            id=f"statement-{first + 1}" if size == 1 else f"statements-{first + 1}-{first + total}",
            succeeded=min(max(self._done - first, 0), total),
            failed=self._failed if current else 0,
            running=self._running if current else 0,
            total=total,
        )


def counted(rows: int) -> str:
    """A number of rows in words."""
    return "1 row" if rows == 1 else f"{rows} rows"


def changed(rows: int | None) -> str:
    """What a statement without rows did; less than 0, or None, is a number that nobody knows."""
    return "done" if rows is None or rows < 0 else f"{counted(rows)} changed"


def _shown(query: str) -> str:
    text = " ".join(query.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
