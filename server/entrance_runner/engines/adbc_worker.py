"""A database's connection inside its worker process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from adbc_driver_manager import dbapi

from entrance_runner import prctl
from entrance_runner.engine import EngineUnavailable, InvalidOption, Level
from entrance_runner.engines.adbc_drivers import Driver, driver_of, sentence
from entrance_runner.plain_types import plain
from entrance_runner.sql_text import SqlStatement, statements_of
from entrance_runner.statements import StatementFailed, StatementWorker, changed
from entrance_runner.worker_process import Task


class AdbcWorker(StatementWorker[SqlStatement]):
    """One connection, which keeps its temporary tables and settings from run to run."""

    _driver: Driver
    _connection: dbapi.Connection

    def __init__(self) -> None:
        super().__init__()
        prctl.hide_memory()  # it has a password
        self._password = ""
        self._cursor: dbapi.Cursor | None = None
        self._usable = True

    @property
    def usable(self) -> bool:
        """Whether the connection stands."""
        return self._usable

    def open(self, options: Mapping[str, str]) -> None:
        """Connects."""
        if "url" not in options:
            raise InvalidOption("the setting adbc.connection names no connection")
        self._password = options["password"]
        self._driver = driver_of(options["url"])
        try:
            self._connection = self._driver.connect(options["url"], self._password)
        except (dbapi.Error, OSError) as error:
            raise EngineUnavailable(f"the database does not answer: {self._said(error)}") from None

    def split(self, code: str) -> Sequence[SqlStatement]:
        """The statements, by the quotes and comments of the database's dialect."""
        return statements_of(code, self._driver.dialect)

    def text(self, statement: SqlStatement) -> str:
        """A statement as it was written."""
        return statement.text

    def execute(self, task: Task, index: int, statement: SqlStatement) -> str:
        """Runs a statement; its rows go into a result set."""
        with self._failing(), self._connection.cursor() as cursor:
            options = self._driver.statement_options(statement.first_word)
            cursor.adbc_statement.set_options(**options)
            self._cursor = cursor
            try:
                return self._execute(task, index, cursor, statement.text)
            finally:
                with self.ends:  # not in the middle of a cancel
                    self._cursor = None

    def cancel(self) -> None:
        """Has the database cancel the running statement."""
        if (cursor := self._cursor) is not None:
            try:
                cursor.adbc_cancel()
            except dbapi.NotSupportedError:
                os._exit(0)  # the statement runs in this process, and ends with it
            except dbapi.Error:
                pass  # it has just ended; else the next call tries again

    def finish(self, task: Task) -> None:
        """Rolls a transaction back that was left open."""
        transaction: bool | None = None
        with contextlib.suppress(dbapi.Error):
            transaction = self._driver.transaction(self._connection)
            if transaction:
                with contextlib.suppress(dbapi.Error), self._connection.cursor() as cursor:
                    cursor.execute("ROLLBACK")
                task.message(Level.WARN, "the transaction was left open and is rolled back")
                transaction = self._driver.transaction(self._connection)
        self._usable = transaction is False  # or the next run would go on in it

    def _execute(self, task: Task, index: int, cursor: dbapi.Cursor, text: str) -> str:
        cursor.execute(text)
        if not cursor.description:
            return changed(cursor.rowcount)
        with plain(cursor.fetch_record_batch()) as rows:
            return self.tell_table(task, index, rows)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (dbapi.Error, pa.ArrowException, OSError) as error:
            raise StatementFailed(self._said(error)) from None

    def _said(self, error: Exception) -> str:
        text = sentence(error)
        return text.replace(self._password, "***") if self._password else text
