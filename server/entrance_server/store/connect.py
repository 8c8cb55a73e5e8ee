"""Connections to a database: what each kind of it needs, and which of its errors mean "not now"."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

_BUSY_TIMEOUT = 5000  # milliseconds to wait for another process that writes

_LASTING_ERRORS = (exc.IntegrityError, exc.DataError, exc.ProgrammingError, exc.NotSupportedError)


@dataclass(frozen=True, slots=True)
class Engines:
    """One connection that writes, and some that read."""

    writer: Engine
    reader: Engine

    def dispose(self) -> None:
        """Closes every connection."""
        self.reader.dispose()
        self.writer.dispose()


def open_engines(url: str, *, readers: int) -> Engines:
    """Engines for a database URL; connects to nothing yet, but makes a missing SQLite file.

    Raises:
        OSError: the SQLite file can't be opened for writing.
        ValueError: the URL names a database in memory, which every connection would have anew.
    """
    parsed = make_url(url)
    engines = Engines(
        writer=create_engine(parsed, pool_size=1, max_overflow=0),
        reader=create_engine(
            parsed, pool_size=readers, max_overflow=0, isolation_level="AUTOCOMMIT"
        ),
    )
    if parsed.get_backend_name() == "sqlite":
        _prepare_sqlite(parsed, engines)
    return engines


def is_unavailable(error: BaseException) -> bool:
    """Whether the database does not answer, rather than that it was asked wrongly."""
    if isinstance(error, exc.TimeoutError):
        return True
    return isinstance(error, exc.DBAPIError) and not isinstance(error, _LASTING_ERRORS)


def _prepare_sqlite(url: URL, engines: Engines) -> None:
    if not url.database or url.database == ":memory:" or "mode=memory" in url.database:
        raise ValueError(f"'{url}' is a database in memory; name a file: sqlite:////path/to/file")
    _make_private(url.database)

    @event.listens_for(engines.writer, "connect")
    def set_up_writer(connection: Any, _: object) -> None:
        connection.isolation_level = None  # this module begins transactions, not the driver
        _run(connection, "PRAGMA journal_mode = WAL")
        _run(connection, "PRAGMA synchronous = FULL")
        _run(connection, "PRAGMA foreign_keys = ON")
        _run(connection, f"PRAGMA busy_timeout = {_BUSY_TIMEOUT}")

    @event.listens_for(engines.writer, "begin")
    def begin_to_write(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engines.reader, "connect")
    def set_up_reader(connection: Any, _: object) -> None:
        _run(connection, "PRAGMA query_only = ON")
        _run(connection, f"PRAGMA busy_timeout = {_BUSY_TIMEOUT}")


def _make_private(path: str) -> None:
    """Makes the file for its owner alone; SQLite gives the same mode to the files beside it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _run(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()
