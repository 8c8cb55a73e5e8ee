"""The tables of the store, and how domain values are kept in their columns."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TextClause,
    TypeDecorator,
    UniqueConstraint,
    column,
    table,
    text,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from entrance_server.domain.status import JobStatus

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept as microseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Counts the microseconds; exact, as no float takes part."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Gives the time back in UTC."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class Duration(TypeDecorator[timedelta]):
    """A length of time, kept as microseconds, so that times and durations add up."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:
        """Counts the microseconds."""
        return None if value is None else value // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> timedelta | None:
        """Gives the duration back."""
        return None if value is None else value * _MICROSECOND


# made once: `json.dumps` makes one anew for whoever does not take its defaults
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class JsonText(TypeDecorator[Any]):
    """A value of lists, dicts, texts and numbers, kept as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Writes the shortest JSON."""
        if value is None:
            return None
        return _encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Reads the JSON."""
        return None if value is None else json.loads(value)


class StatusText(TypeDecorator[JobStatus]):
    """A job's state, kept by its name on the wire."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: JobStatus | None, dialect: Dialect) -> str | None:
        """Writes the name."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> JobStatus | None:
        """Finds the state by its name."""
        return None if value is None else JobStatus(value)


class database_now(FunctionElement[datetime]):
    """The time by the clock of the database, which all servers share."""

    type = UtcTime()
    inherit_cache = True


@compiles(database_now, "postgresql")
def _postgresql_now(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


# SQLite gives out numbers only for a column of the type INTEGER.
_TaskId = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# Conditions as text, since a database uses an index of some rows only for the same words.
UNARCHIVED = text("archive_time IS NULL AND removed_time IS NULL AND stored_bytes > 0")
ARCHIVED_AND_LOCAL = text("archive_time IS NOT NULL AND has_local")
LOAD = text("status IN ('Inited', 'Scheduled', 'Running')")


def _queue(name: str, condition: TextClause) -> Index:
    """An index of what is still to be done, which is empty when all is done."""
    return Index(
        f"ix_jobs_{name}",
        "instance",
        "end_time",
        sqlite_where=condition,
        postgresql_where=condition,
    )


jobs = Table(
    "jobs",
    metadata,
    Column("task_id", _TaskId, primary_key=True, autoincrement=True),
    Column("instance", Text, nullable=False),
    Column("status", StatusText, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("progress", Double, nullable=False),
    Column("submit_user", Text, nullable=False),
    Column("execute_user", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("engine_type", Text, nullable=False),
    Column("run_type", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("prepared_code", Text),
    Column("notes", JsonText),
    Column("params", JsonText, nullable=False),
    Column("labels", JsonText, nullable=False),
    Column("source", JsonText, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("request_id", Text),
    Column("request_digest", LargeBinary),
    Column("session_id", Text),
    Column("create_time", UtcTime, nullable=False),
    Column("update_time", UtcTime, nullable=False),
    Column("start_time", UtcTime),
    Column("end_time", UtcTime),
    Column("error_code", Integer),
    Column("error_message", Text),
    Column("result_count", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("progress_info", JsonText, nullable=False),
    Column("retry_time", UtcTime),
    Column("pause_time", UtcTime),
    Column("paused_for", Duration, nullable=False),
    Column("schedule_time", UtcTime),
    Column("session_reused", Boolean),
    Column("has_files", Boolean, nullable=False),
    Column("stored_bytes", BigInteger),
    Column("removed_time", UtcTime),
    Column("owner", Text, nullable=False, server_default=""),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("archive_time", UtcTime),
    Column("has_local", Boolean, nullable=False, server_default=true()),
    UniqueConstraint("submit_user", "request_id"),
    # with the time, so that what is out of a range is passed over without a look at its row
    Index(None, "execute_user", "task_id", "create_time"),
    Index(None, "creator", "task_id", "create_time"),
    Index(None, "status", "task_id", "create_time"),
    Index(None, "session_id", "task_id"),
    Index(None, "create_time"),
    Index(None, "instance", "status"),
    # with the size, so that all that is stored is summed up without a look at a row
    Index(None, "instance", "has_files", "end_time", "stored_bytes"),
    _queue("unarchived", UNARCHIVED),
    _queue("local_copies", ARCHIVED_AND_LOCAL),
    # where servers count the jobs of a group together
    Index(
        "ix_jobs_load",
        "execute_user",
        "creator",
        "engine_type",
        "status",
        postgresql_where=LOAD,
    ),
    sqlite_autoincrement=True,  # a number is never given out again
)

# SQLite's own: the last number that it gave to a row of each table.
sqlite_sequence = table("sqlite_sequence", column("name", Text), column("seq", BigInteger))

archives = Table(
    "archives",
    metadata,
    Column("task_id", _TaskId, ForeignKey(jobs.c.task_id, ondelete="CASCADE"), primary_key=True),
    Column("key", Text, nullable=False),
    Column("files", JsonText),
)

results = Table(
    "results",
    metadata,
    Column("task_id", _TaskId, ForeignKey(jobs.c.task_id, ondelete="CASCADE"), primary_key=True),
    Column("result_index", Integer, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("columns", JsonText, nullable=False),
    Column("statement", Integer, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("engine_type", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_start", Double, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("options", JsonText, nullable=False),
    Column("only_for", BigInteger),
    Column("owner", Text, nullable=False, server_default=""),
    Column("host", Text, nullable=False, server_default=""),
    Column("directory", Text, nullable=False, server_default=""),
)

instances = Table(
    "instances",
    metadata,
    Column("name", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("home", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("lease_expire_time", UtcTime),
)

offline_instances = Table(
    "offline_instances",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("since", UtcTime, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("create_time", UtcTime, nullable=False),
    Column("for_users", JsonText, nullable=False),
    Column("hosts", JsonText, nullable=False),
    Column("expire_time", UtcTime),
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("password_hash", Text),
    Column("is_admin", Boolean, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("login_count", BigInteger, nullable=False),
    Column("last_login_time", UtcTime),
)

login_sessions = Table(
    "login_sessions",
    metadata,
    Column("ticket_hash", LargeBinary, primary_key=True),
    Column("user", Text, ForeignKey(users.c.name, ondelete="CASCADE"), nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("last_used_time", UtcTime, nullable=False),
    Index(None, "user"),
    Index(None, "last_used_time"),
)
