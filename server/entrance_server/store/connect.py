"""Connections to a database: what each kind of it needs, and which of its errors mean "not now"."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from entrance_server.store.port import StoreUnavailable

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
        OSError: the SQLite file can't be made.
        ValueError: the URL is none, or names a database in memory, which lives in one connection.
    """
    try:
        parsed = make_url(url)
        is_sqlite = parsed.get_backend_name() == "sqlite"
        if is_sqlite:
            _prepare_sqlite_file(parsed)
        writer = create_engine(parsed, pool_size=1, max_overflow=0, hide_parameters=True)
    except exc.ArgumentError as error:
        raise ValueError(f"the store's URL is wrong: {error}") from error
    reader = create_engine(
        parsed,
        pool_size=readers,
        max_overflow=0,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
    )
    engines = Engines(writer, reader)
    if is_sqlite:
        _set_up_sqlite(engines)
    return engines


def is_unavailable(error: BaseException) -> bool:
    """Whether the database does not answer, rather than that it was asked wrongly."""
    if isinstance(error, exc.DBAPIError):
        return not isinstance(error, _LASTING_ERRORS)
    return isinstance(error, OSError | exc.TimeoutError)


def unavailable(error: Exception) -> StoreUnavailable:
    """An error in words of the port, without the statement and its values."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    return StoreUnavailable(str(cause))


def _prepare_sqlite_file(url: URL) -> None:
    """Makes the file for its owner alone; SQLite gives the same mode to the files beside it."""
    path = url.database
    if not path or path.startswith((":memory:", "file:")):
        raise ValueError(f"'{url}' names no file; send sqlite:////path/to/file")
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    os.chmod(path, 0o600)


def _set_up_sqlite(engines: Engines) -> None:
    @event.listens_for(engines.writer, "connect")
    def set_up_writer(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # this module begins transactions, not the driver
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engines.writer, "begin")
    def begin_to_write(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engines.reader, "connect")
    def set_up_reader(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA query_only = ON")
