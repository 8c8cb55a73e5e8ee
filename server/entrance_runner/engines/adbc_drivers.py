"""What differs between the databases that the ADBC engine knows."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from adbc_driver_manager import dbapi

from entrance_runner.engine import InvalidOption

CONNECT_TIMEOUT = 10  # seconds
READ_BYTES = 4 * 1024 * 1024  # of one batch of rows


class Driver(abc.ABC):
    """A kind of database."""

    dialect: ClassVar[str]  # as sqlglot calls it

    @abc.abstractmethod
    def connect(self, url: str, password: str) -> dbapi.Connection:
        """Connects; each statement commits by itself, unless it is in a transaction."""

    def statement_options(self, first_word: str) -> Mapping[str, str]:
        """How a statement that begins with some word is run."""
        return {}

    @abc.abstractmethod
    def transaction(self, connection: dbapi.Connection) -> bool | None:
        """Whether a transaction is open; None when the connection is lost."""


class PostgreSQL(Driver):
    """PostgreSQL by libpq."""

    dialect: ClassVar[str] = "postgres"

    # what can stand inside COPY (…) TO STDOUT, by which the driver reads rows in batches
    _COPIED: ClassVar[frozenset[str]] = frozenset(
        {"SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "("}
    )

    def connect(self, url: str, password: str) -> dbapi.Connection:
        """Connects to the server that the URL names."""
        from adbc_driver_postgresql import dbapi as postgresql

        connection: dbapi.Connection = postgresql.connect(
            _with_password(url, password), autocommit=True
        )
        return connection

    def statement_options(self, first_word: str) -> Mapping[str, str]:
        """Bounds the batches, and reads without COPY what it does not take, such as SHOW."""
        copied = first_word in self._COPIED
        return {
            "adbc.postgresql.batch_size_hint_bytes": str(READ_BYTES),
            "adbc.postgresql.use_copy": "true" if copied else "false",
        }

    def transaction(self, connection: dbapi.Connection) -> bool | None:
        """As libpq tells it."""
        status = connection.adbc_connection.get_option("adbc.postgresql.transaction_status")
        return None if status == "unknown" else status != "idle"


class SQLite(Driver):
    """A file of SQLite."""

    dialect: ClassVar[str] = "sqlite"

    def connect(self, url: str, password: str) -> dbapi.Connection:
        """Opens the file that the URL names; it has no password."""
        from adbc_driver_sqlite import dbapi as sqlite

        connection: dbapi.Connection = sqlite.connect(urlsplit(url).path, autocommit=True)
        return connection

    def transaction(self, connection: dbapi.Connection) -> bool | None:
        """Whether a ROLLBACK finds one, which it then has ended."""
        with connection.cursor() as cursor:
            try:
                cursor.execute("ROLLBACK")
            except dbapi.Error:
                return False
        return True


_DRIVERS: dict[str, type[Driver]] = {
    "postgresql": PostgreSQL,
    "postgres": PostgreSQL,
    "sqlite": SQLite,
}


def driver_of(url: str) -> Driver:
    """The driver for a URL, by its scheme.

    Raises:
        InvalidOption: there is none.
    """
    scheme = urlsplit(url).scheme
    if scheme not in _DRIVERS:
        raise InvalidOption(
            f"the connection's URL begins with {scheme!r}; write one of: {', '.join(_DRIVERS)}"
        )
    return _DRIVERS[scheme]()


def _with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    query = {"connect_timeout": str(CONNECT_TIMEOUT), **dict(parse_qsl(parts.query))}
    if password:
        query["password"] = password
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


_PREFIX = re.compile(r"^[A-Z_]+: (\[\w+\] )?(Failed to [^:]*: )?")
_ECHO = re.compile(r"\n+\s*[Qq]uery( was)?: .*", re.DOTALL)  # the whole statement, once more


def sentence(error: Exception) -> str:
    """What the database says, without what the driver adds to it."""
    text = _ECHO.sub("", _PREFIX.sub("", str(error))).strip()
    state = getattr(error, "sqlstate", None)
    return f"{text} (SQLSTATE {state})" if state else text
