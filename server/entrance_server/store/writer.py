"""One thread that writes, and commits everything that waits at once."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection, Engine, exc

from entrance_server.store.connect import is_unavailable, unavailable
from entrance_server.store.port import LeaseLost, StoreUnavailable

T = TypeVar("T")

# Operations of one commit at most. PostgreSQL is slow for everybody with more savepoints than 64.
MOST_AT_ONCE = 60
OUTCOME_INTERVAL = 0.2  # seconds


class Fence(Protocol):
    """What a database that servers share asks of each transaction."""

    def begin(self, connection: Connection, locks: Collection[str]) -> str:
        """Makes sure that this server may write, takes locks, and names the transaction.

        Raises:
            LeaseLost: it may not.
        """

    def outcome(self, connection: Connection, transaction: str) -> bool | None:
        """Whether a transaction was committed; None while that is open."""


class _Undone(Exception):
    """An operation failed, and with it those beside it, which were not to blame."""


class _Write(Generic[T]):
    """An operation on its way: what to do, who waits for it, and what came of it."""

    def __init__(
        self,
        operation: Callable[[Connection], T],
        answer: asyncio.Future[T],
        locks: Collection[str],
    ) -> None:
        self.locks = locks
        self._operation = operation
        self._answer = answer
        self._result: T | None = None
        self._error: Exception | None = None

    def run(self, connection: Connection) -> None:
        """Runs.

        Raises:
            _Undone: it failed, and so must be what was done before it in the transaction.
        """
        try:
            self._result = self._operation(connection)
        except Exception as error:
            if is_unavailable(error):
                raise
            raise _Undone from error

    def attempt(self, connection: Connection) -> None:
        """Runs in a savepoint, so that an operation that fails undoes itself alone."""
        try:
            with connection.begin_nested():
                self._result = self._operation(connection)
        except Exception as error:
            if is_unavailable(error):
                raise
            self._error = error

    def fail(self, error: Exception) -> None:
        """Notes that the whole batch came to nothing."""
        self._error = error if isinstance(error, LeaseLost) else unavailable(error)
        self._error.__cause__ = error if self._error is not error else None

    def settle(self) -> None:
        """Answers, unless nobody waits any more."""
        if self._answer.done():
            return
        if self._error is not None:
            self._answer.set_exception(self._error)
        else:
            self._answer.set_result(self._result)  # type: ignore[arg-type]


class Writer:
    """Owns the connection that writes. Operations run in the order in which they came."""

    def __init__(self, engine: Engine, *, capacity: int, fence: Fence | None = None) -> None:
        self._engine = engine
        self._fence = fence
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(capacity)
        self._waiting: queue.SimpleQueue[_Write[object] | None] = queue.SimpleQueue()
        self._closed = False
        self._connection: Connection | None = None  # the thread's, kept from commit to commit
        self._thread = threading.Thread(target=self._work, name="store-writer")
        self._thread.start()

    async def run(self, operation: Callable[[Connection], T], *, locks: Collection[str] = ()) -> T:
        """Runs an operation and answers when it is durable. A cancelled caller does not undo it.

        Args:
            operation: What to do. It is done again when what was done beside it had to be undone.
            locks: Names that nobody else holds meanwhile, on any server of the database.

        Raises:
            StoreUnavailable: nothing was changed, by this operation or by those beside it.
            LeaseLost: the same, since this server may not write any more.
        """
        await self._room.acquire()
        if self._closed:
            self._room.release()
            raise StoreUnavailable("the store is closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put(_Write(operation, answer, locks))  # type: ignore[arg-type]
        return await answer

    async def close(self) -> None:
        """Finishes what waits, then ends the thread."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        for batch in self._batches():
            try:
                self._commit(batch)
            except Exception as error:
                for write in batch:
                    write.fail(error)
            self._loop.call_soon_threadsafe(self._settle, batch)
        self._disconnect()

    def _commit(self, batch: Sequence[_Write[object]]) -> None:
        """Most often all is well; a savepoint for each costs more than what is done in it."""
        try:
            self._transact(batch, _Write.run)
        except _Undone:
            self._transact(batch, _Write.attempt)

    def _transact(
        self,
        batch: Sequence[_Write[object]],
        step: Callable[[_Write[object], Connection], None],
    ) -> None:
        transaction, complete = "", False
        try:
            connection = self._connection = self._connection or self._engine.connect()
            with connection.begin():
                if self._fence is not None:
                    locks = {name for write in batch for name in write.locks}
                    transaction = self._fence.begin(connection, locks)
                for write in batch:
                    step(write, connection)
                complete = True
        except _Undone:
            raise
        except Exception:
            self._disconnect()  # a connection that failed is not used again
            if not (complete and transaction and self._was_committed(transaction)):
                raise

    def _was_committed(self, transaction: str) -> bool:
        """Asks until it knows, since a commit that was not answered may be one all the same."""
        assert self._fence is not None
        while not self._closed:
            try:
                with self._engine.connect() as connection:
                    answer = self._fence.outcome(connection, transaction)
                if answer is not None:
                    return answer
            except exc.SQLAlchemyError:
                self._disconnect()
            time.sleep(OUTCOME_INTERVAL)
        return False

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(exc.SQLAlchemyError):
                connection.close()
        self._engine.dispose()

    def _batches(self) -> Iterator[list[_Write[object]]]:
        """All that waits at a time, until the end."""
        while (first := self._waiting.get()) is not None:
            batch = [first]
            with contextlib.suppress(queue.Empty):
                while self._fence is None or len(batch) < MOST_AT_ONCE:
                    if (more := self._waiting.get_nowait()) is None:
                        self._waiting.put(None)  # the end came early; keep it for the next turn
                        break
                    batch.append(more)
            yield batch

    def _settle(self, batch: list[_Write[object]]) -> None:
        for write in batch:
            self._room.release()
            write.settle()
