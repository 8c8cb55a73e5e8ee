"""DuckDB inside its worker process."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence

import duckdb
import pyarrow as pa

from entrance_runner.engine import EngineUnavailable, InvalidOption, Level
from entrance_runner.parameters import size_of
from entrance_runner.statements import StatementFailed, StatementWorker, changed
from entrance_runner.worker_process import Task

BATCH_ROWS = 16 * 1024


class DuckDBWorker(StatementWorker[duckdb.Statement]):
    """One connection, which keeps its tables from run to run."""

    def __init__(self) -> None:
        super().__init__()
        self._usable = True

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

    def cancel(self) -> None:
        """Interrupts whatever the connection does."""
        self._connection.interrupt()

    def split(self, code: str) -> Sequence[duckdb.Statement]:
        """The statements as DuckDB reads them."""
        with self._failing():
            return self._connection.extract_statements(code)

    def text(self, statement: duckdb.Statement) -> str:
        """A statement as it was written."""
        return statement.query

    def execute(self, task: Task, index: int, statement: duckdb.Statement) -> str:
        """Runs a statement; its rows go into a result set."""
        with self._failing():
            return self._execute(task, index, statement)

    def fraction(self) -> float:
        """DuckDB's own estimate for the running statement."""
        return self._connection.query_progress() / 100

    def finish(self, task: Task) -> None:
        """Rolls a transaction back that was left open."""
        try:
            self._connection.rollback()
        except duckdb.TransactionException:  # there is none
            return
        except duckdb.Error:
            self._usable = False
        else:
            task.message(Level.WARN, "the transaction was left open and is rolled back")

    def _execute(self, task: Task, index: int, statement: duckdb.Statement) -> str:
        if statement.expected_result_type == [duckdb.ExpectedResultType.QUERY_RESULT]:
            rows = self._connection.sql(statement).to_arrow_reader(BATCH_ROWS)
            if statement.type != duckdb.StatementType.SELECT and rows.schema.equals(_SUCCESS):
                rows.read_all()
                return "done"
        else:
            self._connection.execute(statement)
            if not _returns_rows(statement, self._connection):
                return changed(self._connection.rowcount)
            with warnings.catch_warnings(action="ignore"):  # it says that these rows were copied
                rows = self._connection.to_arrow_reader(BATCH_ROWS)
        return self.tell_table(task, index, rows)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            self._usable = not isinstance(error, (duckdb.FatalException, duckdb.InternalException))
            raise StatementFailed(str(error)) from None


_SUCCESS = pa.schema([pa.field("Success", pa.bool_())])  # what a CALL without rows gives


def _returns_rows(statement: duckdb.Statement, connection: duckdb.DuckDBPyConnection) -> bool:
    expected = statement.expected_result_type
    if duckdb.ExpectedResultType.QUERY_RESULT not in expected or connection.rowcount >= 0:
        return False
    return statement.type != duckdb.StatementType.CREATE
