"""What the store needs of PostgreSQL beyond what it asks of any database."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import URL, BigInteger, Connection, Engine, Text, bindparam, cast, exc, func, select

from entrance_server.domain.instances import Lease
from entrance_server.store import statements
from entrance_server.store.outcomes import was_committed
from entrance_server.store.port import LeaseLost

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

CHANNEL: Final = "entrance"
OUTCOME_WITHIN: Final = 10.0  # seconds in which the outcome of a transaction is asked for

# A connection to a machine that is gone is given up after about ten seconds.
_KEEPALIVE: Final[Mapping[str, int]] = {
    "connect_timeout": 5,  # seconds
    "keepalives_idle": 4,  # seconds
    "keepalives_interval": 2,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
# A server that stops in the middle of a transaction holds up none of the others for long.
_TIMEOUTS: Final[Mapping[str, str]] = {
    "idle_in_transaction_session_timeout": "3s",
    "lock_timeout": "10s",
    "statement_timeout": "60s",
}
_MIGRATION_LOCK: Final = int.from_bytes(b"entrance", "big", signed=True)

_key = bindparam("p_key", type_=BigInteger)

# Held until the transaction ends.
_LOCK = select(func.pg_advisory_xact_lock(_key))

# Names a transaction, so that its outcome can be asked for when its commit was not answered.
_TRANSACTION_ID = select(cast(func.pg_current_xact_id(), Text))

# What became of a transaction: `committed`, `aborted` or `in progress`.
_OUTCOME = select(func.pg_xact_status(func.xid8(bindparam("p_id", type_=Text))))

# Tells the other servers something, once this transaction is committed.
_NOTIFY = select(func.pg_notify(CHANNEL, bindparam("p_text", type_=Text)))


def connect_arguments(url: URL) -> dict[str, Any]:
    """How to connect, where the URL does not say otherwise."""
    given = {"application_name": "entrance", **_KEEPALIVE}
    return {name: value for name, value in given.items() if name not in url.query}


def set_up_writer(connection: psycopg.Connection, _: object) -> None:
    """Sets limits of time, and what becomes of characters that no text may have here."""
    _set_up(connection, _TIMEOUTS)


def set_up_reader(connection: psycopg.Connection, _: object) -> None:
    """As `set_up_writer`, for a connection that changes nothing."""
    _set_up(connection, {**_TIMEOUTS, "default_transaction_read_only": "on"})


def _set_up(connection: psycopg.Connection, settings: Mapping[str, str]) -> None:
    from psycopg.types.string import StrDumperUnknown

    class WithoutNul(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    connection.adapters.register_dumper(str, WithoutNul)
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.commit()


def lock_for_migration(connection: Connection) -> None:
    """Lets one server at a time migrate the database, however long that takes."""
    for name in ("lock_timeout", "statement_timeout"):
        connection.exec_driver_sql(f"SET LOCAL {name} = 0")
    connection.execute(_LOCK, {"p_key": _MIGRATION_LOCK})


class LeaseFence:
    """Lets a server write as long as nobody took its lease. `lease` is set once it has joined."""

    def __init__(self) -> None:
        self.lease: Lease | None = None

    def begin(self, connection: Connection, locks: Collection[str]) -> str:
        """Holds the lease and locks until the transaction ends, and names the transaction.

        Raises:
            LeaseLost: somebody took the lease.
        """
        if self.lease is not None:
            held = {"p_name": self.lease.instance, "p_fence": self.lease.fence}
            if connection.execute(statements.HOLD_LEASE, held).one_or_none() is None:
                raise LeaseLost(self.lease)
        for key in sorted({_number(name) for name in locks}):  # in one order, so none is circular
            connection.execute(_LOCK, {"p_key": key})
        return _name_of(connection)

    def outcome(self, connection: Connection, transaction: str) -> bool | None:
        """Whether a transaction was committed; None while that is open."""
        return _outcome(connection, transaction)


def commit(engine: Engine, operation: Callable[[Connection], T]) -> T:
    """Runs an operation in a transaction; what was committed counts, though no answer came."""
    transaction, results = "", list[T]()
    try:
        with engine.begin() as connection:
            transaction = _name_of(connection)
            results.append(operation(connection))
    except exc.DBAPIError:
        if not (results and _was_committed(engine, transaction)):
            raise
    return results[0]


def _was_committed(engine: Engine, transaction: str) -> bool:
    """Asks for a while: as long as the database is away, there is nothing else to do."""
    deadline = time.monotonic() + OUTCOME_WITHIN
    outcome = partial(_outcome, transaction=transaction)
    return was_committed(engine, outcome, goes_on=lambda: time.monotonic() < deadline)


def _name_of(connection: Connection) -> str:
    return str(connection.execute(_TRANSACTION_ID).scalar_one())


def _outcome(connection: Connection, transaction: str) -> bool | None:
    try:
        status = connection.execute(_OUTCOME, {"p_id": transaction}).scalar_one()
    except exc.DataError:  # of the future: the database was put back to an older state
        return False
    return None if status == "in progress" else status == "committed"


def notify(connection: Connection, text: str) -> None:
    """Tells the other servers, and this one, once the transaction is committed."""
    connection.execute(_NOTIFY, {"p_text": text})


def _number(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
