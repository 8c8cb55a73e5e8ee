"""Trino's client inside its worker process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import requests
from trino import dbapi, exceptions
from trino.auth import BasicAuthentication

from entrance_runner import prctl
from entrance_runner.engine import EngineUnavailable, InvalidOption
from entrance_runner.engines.trino_rows import record_batches
from entrance_runner.sql_text import SqlStatement, statements_of
from entrance_runner.statements import StatementFailed, StatementWorker, changed
from entrance_runner.worker_process import Task

BATCH_ROWS = 16 * 1024
REQUEST_TIMEOUT = 30.0  # seconds
_FAILURES = (
    exceptions.Error,
    exceptions.HttpError,
    requests.RequestException,
    pa.ArrowException,
    OSError,
)


class TrinoWorker(StatementWorker[SqlStatement]):
    """One Trino session, which keeps what SET SESSION and USE say from run to run."""

    _connection: Any

    def __init__(self) -> None:
        super().__init__()
        prctl.hide_memory()  # it has a password
        self._cursor: Any = None

    def open(self, options: Mapping[str, str]) -> None:
        """Makes a session, and sees that the coordinator answers."""
        if "url" not in options:
            raise InvalidOption("the setting trino.connection names no connection")
        self._connection = _connect(options["url"], options["password"])
        try:
            with contextlib.closing(self._connection.cursor()) as cursor:
                cursor.execute("SELECT 1").fetchall()
        except _FAILURES as error:
            raise EngineUnavailable(f"Trino does not answer: {_sentence(error)}") from None

    def split(self, code: str) -> Sequence[SqlStatement]:
        """The statements, by the quotes and comments of Trino's SQL."""
        return statements_of(code, "trino")

    def text(self, statement: SqlStatement) -> str:
        """A statement as it was written."""
        return statement.text

    def execute(self, task: Task, index: int, statement: SqlStatement) -> str:
        """Runs a statement; its rows go into a result set."""
        try:
            with contextlib.closing(self._connection.cursor()) as self._cursor:
                return self._execute(task, index, statement.text)
        except _FAILURES as error:
            raise StatementFailed(_sentence(error)) from None
        finally:
            self._cursor = None

    def fraction(self) -> float:
        """The share of splits that are completed, as Trino tells it."""
        stats = getattr(self._cursor, "stats", None) or {}
        total = stats.get("totalSplits") or 0
        return (stats.get("completedSplits") or 0) / total if total else 0.0

    def cancel(self) -> None:
        """Has Trino cancel the running statement."""
        if (cursor := self._cursor) is not None:
            with contextlib.suppress(*_FAILURES):  # it has just ended; else the next call tries
                cursor.cancel()

    def _execute(self, task: Task, index: int, text: str) -> str:
        cursor = self._cursor
        cursor.execute(text)
        if self.interrupted:
            raise StatementFailed("interrupted")
        if cursor.update_type is not None or not cursor.description:
            return changed(cursor.rowcount)
        columns = [(column[0], column[1]) for column in cursor.description]
        return self.tell_table(task, index, record_batches(columns, lambda: self._fetch(cursor)))

    def _fetch(self, cursor: Any) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = cursor.fetchmany(BATCH_ROWS)
        if self.interrupted:  # the client ends a cancelled query's rows as if they were all
            raise exceptions.OperationalError("interrupted")
        return rows


def _connect(url: str, password: str) -> Any:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username:
        raise InvalidOption(
            "the connection's URL must be http(s)://<user>@<host>:<port>/<catalog>/<schema>"
        )
    if password and parts.scheme == "http":
        raise InvalidOption("the connection has a password; its URL must begin with https")
    catalog, _, schema = parts.path.strip("/").partition("/")
    user = unquote(parts.username)
    connect: Callable[..., Any] = dbapi.connect
    return connect(
        host=parts.hostname,
        port=parts.port or (443 if parts.scheme == "https" else 8080),
        http_scheme=parts.scheme,
        user=user,
        auth=BasicAuthentication(user, password) if password else None,
        catalog=catalog or None,
        schema=schema or None,
        source="entrance",
        request_timeout=REQUEST_TIMEOUT,
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, exceptions.TrinoQueryError):
        return f"{error.error_name}: {error.message}"
    return str(error)
