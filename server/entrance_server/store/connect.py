"""Connections to a database, and which of its errors mean "not now"."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from entrance_server.store import postgresql
from entrance_server.store.port import StoreUnavailable

_LASTING_ERRORS = (exc.IntegrityError, exc.DataError, exc.ProgrammingError, exc.NotSupportedError)


@dataclass(frozen=True, slots=True)
class Engines:
    """Connections of a store: one that writes, some that read, one more for leases.

    That one is there where servers share the database, so that no write holds up a lease.
    """

    writer: Engine
    reader: Engine
    keeper: Engine | None = None

    def dispose(self) -> None:
        """Closes every connection."""
        for engine in (self.reader, self.keeper, self.writer):
            if engine is not None:
                engine.dispose()


def open_engines(url: str, *, readers: int) -> Engines:
    """Engines for a database URL; connects to nothing yet, but makes a missing SQLite file.

    Raises:
        OSError: the SQLite file can't be made.
        ValueError: the URL is none, or names a database in memory, which lives in one connection.
    """
    try:
        parsed = make_url(url)
        match parsed.get_backend_name():
            case "sqlite":
                return _sqlite_engines(parsed, readers)
            case "postgresql":
                return _postgresql_engines(parsed, readers)
            case other:
                raise ValueError(f"the store can't be {other}; name one of sqlite and postgresql")
    except exc.ArgumentError as error:
        raise ValueError(f"the store's URL is wrong: {error}") from None
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the store needs the module {error.name}: pip install 'entrance[server,postgres]'"
        ) from None


def is_shared(url: str) -> bool:
    """Whether a database is one that several servers may use."""
    return not url.startswith("sqlite")


def is_unavailable(error: BaseException) -> bool:
    """Whether the database does not answer, rather than that it was asked wrongly."""
    if isinstance(error, exc.DBAPIError):
        return not isinstance(error, _LASTING_ERRORS)
    return isinstance(error, OSError | exc.TimeoutError)


def unavailable(error: Exception) -> StoreUnavailable:
    """An error in words of the port, without the statement and its values."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    return StoreUnavailable(" ".join(str(cause).split()))


def _engine(url: URL, size: int, **options: object) -> Engine:
    return create_engine(url, pool_size=size, max_overflow=0, hide_parameters=True, **options)


def _sqlite_engines(url: URL, readers: int) -> Engines:
    _prepare_sqlite_file(url)
    engines = Engines(_engine(url, 1), _engine(url, readers, isolation_level="AUTOCOMMIT"))
    _set_up_sqlite(engines)
    return engines


def _postgresql_engines(url: URL, readers: int) -> Engines:
    url = url.set(drivername="postgresql+psycopg")
    given = {"connect_args": postgresql.connect_arguments(url)}
    engines = Engines(
        _engine(url, 1, **given),
        _engine(url, readers + 1, isolation_level="AUTOCOMMIT", **given),  # one listens
        _engine(url, 1, **given),
    )
    for engine in (engines.writer, engines.keeper):
        if engine is not None:
            event.listen(engine, "connect", postgresql.set_up_writer)
    event.listen(engines.reader, "connect", postgresql.set_up_reader)
    return engines


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
