"""DuckDB inside its worker process."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Iterator, Mapping

import duckdb
import pyarrow as pa

from entrance_runner.engine import EngineUnavailable, InvalidOption, Level, Part, Progress
from entrance_runner.errors import ErrorCode, RunFailed
from entrance_runner.parameters import size_of
from entrance_runner.worker_process import Task, Worker

BATCH_ROWS = 16 * 1024
MAX_PARTS = 1000  # of the progress; a run of more statements counts several in one
SHOWN_CHARACTERS = 80  # of a statement, in the log


class DuckDBWorker(Worker):
    """One connection, which keeps its tables from run to run."""

    def __init__(self) -> None:
        self._usable = True
        self._interrupted = False
        self._statements = _Statements(0)

    @property
    def usable(self) -> bool:
        """Whether the database is well."""
        return self._usable

    def open(self, options: Mapping[str, str]) -> None:
        """Connects to the database that the options name, by default one in memory."""
        database = options.get("duckdb.database", ":memory:")
        settings: dict[str, str | bool | int | float | list[str]] = {}
        if threads := options.get("duckdb.threads"):
            settings["threads"] = int(threads)
        if memory := options.get("duckdb.memory_limit"):
            settings["memory_limit"] = f"{size_of(memory)}B"
        try:
            self._connection = duckdb.connect(database, config=settings)
            self._connection.execute("SET enable_progress_bar = true")
            self._connection.execute("SET enable_progress_bar_print = false")
            self._connection.execute("SET progress_bar_time = 0")
        except duckdb.IOException as error:
            raise EngineUnavailable(f"the database {database} can't be opened: {error}") from None
        except duckdb.Error as error:
            raise InvalidOption(f"DuckDB refuses the startup settings: {error}") from None

    def run(self, task: Task) -> None:
        """Runs the statements one by one; the first that fails is the last."""
        self._interrupted = False
        self._statements = _Statements(0)
        try:
            with self._failing_as(""):
                statements = self._connection.extract_statements(task.code)
            self._statements = _Statements(len(statements))
            for number, statement in enumerate(statements, 1):
                self._run_statement(task, number, statement)
        finally:
            self._end_transaction(task)

    def interrupt(self) -> None:
        """Interrupts the running statement and lets no other begin."""
        self._interrupted = True
        self._connection.interrupt()

    def progress(self) -> Progress | None:
        """The statements that are done, and DuckDB's own estimate for the running one."""
        return self._statements.progress(self._connection.query_progress() / 100)

    def _run_statement(self, task: Task, number: int, statement: duckdb.Statement) -> None:
        statements = self._statements
        if self._interrupted:
            raise RunFailed(ErrorCode.CANCELLED, "interrupted")
        name = f"statement {number} of {statements.count}"
        task.message(Level.INFO, f"{name} begins: {_shown(statement.query)}")
        begin = time.monotonic()
        statements.begin()
        with self._failing_as(f"{name}: " if statements.count > 1 else ""):
            outcome = self._execute(task, number - 1, statement)
        statements.succeed()
        task.message(Level.INFO, f"{name} ended: {outcome} in {time.monotonic() - begin:.3f} s")

    def _execute(self, task: Task, index: int, statement: duckdb.Statement) -> str:
        if statement.expected_result_type == [duckdb.ExpectedResultType.QUERY_RESULT]:
            rows = self._connection.sql(statement).to_arrow_reader(BATCH_ROWS)
            if statement.type != duckdb.StatementType.SELECT and rows.schema.equals(_SUCCESS):
                rows.read_all()
                return "done"
        else:
            self._connection.execute(statement)
            if not _returns_rows(statement, self._connection):
                count = self._connection.rowcount
                return "done" if count < 0 else f"{_counted(count)} changed"
            with warnings.catch_warnings(action="ignore"):  # it says that these rows were copied
                rows = self._connection.to_arrow_reader(BATCH_ROWS)
        result = task.results.add_table(rows, statement=index)
        task.tell_result(result)
        return _counted(result.row_count)

    @contextlib.contextmanager
    def _failing_as(self, where: str) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            self._statements.fail()
            self._usable = not isinstance(error, (duckdb.FatalException, duckdb.InternalException))
            raise RunFailed(ErrorCode.SQL_ERROR, f"{where}{error}".rstrip()) from None

    def _end_transaction(self, task: Task) -> None:
        with contextlib.suppress(duckdb.Error):  # the error for there being none
            self._connection.rollback()
            task.message(Level.WARN, "the transaction was left open and is rolled back")


class _Statements:
    """How far the statements of a run are. Written by the main thread, read by the other."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._done = 0
        self._running = 0
        self._failed = 0

    def begin(self) -> None:
        self._running = 1

    def succeed(self) -> None:
        self._running = 0
        self._done += 1

    def fail(self) -> None:
        self._running = 0
        self._failed = 1

    def progress(self, of_running: float) -> Progress | None:
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


_SUCCESS = pa.schema([pa.field("Success", pa.bool_())])  # what a CALL without rows gives


def _returns_rows(statement: duckdb.Statement, connection: duckdb.DuckDBPyConnection) -> bool:
    expected = statement.expected_result_type
    if duckdb.ExpectedResultType.QUERY_RESULT not in expected or connection.rowcount >= 0:
        return False
    return statement.type != duckdb.StatementType.CREATE


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _shown(query: str) -> str:
    text = " ".join(query.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
