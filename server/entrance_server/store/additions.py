"""Adds the jobs of a commit by one statement, which takes most of the time of a submit."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Dialect, exc, insert

from entrance_server.store import statements
from entrance_server.store.schema import jobs

# Jobs of one statement at most on SQLite, which keeps one prepared for each number of jobs.
MOST_AT_ONCE: Final = 32

Values: TypeAlias = Mapping[str, Any]


class Additions:
    """Adds rows to `jobs`, all of the same columns."""

    def __init__(self) -> None:
        self._prepared: _Insert | None = None

    def add(self, connection: Connection, rows: Sequence[Values]) -> Sequence[int]:
        """Adds jobs; gives their numbers in the same order."""
        if connection.dialect.name == "sqlite":
            return self._add_to_sqlite(connection, rows)
        return connection.execute(statements.ADD_JOBS, rows).scalars().all()

    def _add_to_sqlite(self, connection: Connection, rows: Sequence[Values]) -> Sequence[int]:
        if self._prepared is None:
            self._prepared = _Insert(connection.dialect, rows[0].keys())
        if len(rows) == 1:
            return [self._prepared.add(connection, rows, [None])]
        # which job of a statement gets which number is not said, so they are given
        last = connection.execute(statements.LAST_NUMBER).scalar_one()
        numbers = range(last + 1, last + 1 + len(rows))
        for start in range(0, len(rows), MOST_AT_ONCE):
            part = slice(start, start + MOST_AT_ONCE)
            self._prepared.add(connection, rows[part], numbers[part])
        return numbers


class _Insert:
    """An insert into `jobs` that is compiled once, and run by SQLite's driver.

    SQLAlchemy looks for what it has compiled, and makes ready for a result, at each execution. That
    takes several times as long as the insert.
    """

    def __init__(self, dialect: Dialect, columns: Collection[str]) -> None:
        self._dialect = dialect
        self._columns = [
            (column.name, column.type.dialect_impl(dialect).bind_processor(dialect))
            for column in jobs.c
            if column.name in columns
        ]
        keys = [jobs.c.task_id.name, *(name for name, _ in self._columns)]
        self._text = str(insert(jobs).compile(dialect=dialect, column_keys=keys))
        self._next_row = f", ({', '.join('?' * len(keys))})"

    def add(
        self, connection: Connection, rows: Sequence[Values], numbers: Sequence[int | None]
    ) -> int:
        """Adds rows under their numbers, None for the next one; gives the last number.

        Raises:
            DBAPIError: as from `Connection.execute`.
        """
        text = self._text + self._next_row * (len(rows) - 1)
        bound = itertools.chain.from_iterable(
            (number, *self._bound(row)) for number, row in zip(numbers, rows, strict=True)
        )
        driver = self._dialect.loaded_dbapi
        try:
            cursor = connection.connection.cursor()
            cursor.execute(text, tuple(bound))
        except driver.Error as error:
            raise exc.DBAPIError.instance(
                self._text, None, error, driver.Error, hide_parameters=True, dialect=self._dialect
            ) from error
        return int(cursor.lastrowid)

    def _bound(self, row: Values) -> Iterator[Any]:
        """The values of a row as the driver takes them."""
        return (bind(row[name]) if bind else row[name] for name, bind in self._columns)
