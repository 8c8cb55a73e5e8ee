"""One thread that writes, and commits everything that waits at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine, exc

from entrance_server.store.connect import is_unavailable, unavailable
from entrance_server.store.outcomes import was_committed
from entrance_server.store.port import LeaseLost, StoreUnavailable

A = TypeVar("A")
T = TypeVar("T")

Operation: TypeAlias = Callable[[Connection, Sequence[A]], Sequence[T]]
"""What is done for each of some arguments, with a result for each in their order."""

# Operations of one commit at most. PostgreSQL is slow for everybody with more savepoints than 64.
MOST_AT_ONCE = 60


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


class _Write(Generic[A, T]):
    """An operation on its way for one caller: its argument, who waits, and what came of it."""

    def __init__(
        self,
        operation: Operation[A, T],
        argument: A,
        answer: asyncio.Future[T],
        locks: Collection[str],
    ) -> None:
        self.operation = operation
        self.argument = argument
        self.locks = locks
        self._answer = answer
        self._result: T | None = None
        self._error: Exception | None = None

    def take(self, result: T) -> None:
        """Notes what came of it, unless the transaction comes to nothing."""
        self._result = result

    def attempt(self, connection: Connection) -> None:
        """Runs in a savepoint, so that an operation that fails undoes itself alone."""
        try:
            with connection.begin_nested():
                (self._result,) = self.operation(connection, [self.argument])
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


_Batch: TypeAlias = Sequence[_Write[Any, Any]]


def _together(connection: Connection, batch: _Batch) -> None:
    """Runs each operation once for all that wait for it side by side.

    Raises:
        _Undone: one failed, and so must be what was done before it in the transaction.
    """
    for operation, side_by_side in itertools.groupby(batch, lambda write: write.operation):
        writes = list(side_by_side)
        try:
            results = operation(connection, [write.argument for write in writes])
        except Exception as error:
            if is_unavailable(error):
                raise
            raise _Undone from error
        for write, result in zip(writes, results, strict=True):
            write.take(result)


def _each_alone(connection: Connection, batch: _Batch) -> None:
    """Runs them so that each that fails is undone alone."""
    for write in batch:
        write.attempt(connection)


class Writer:
    """Owns the connection that writes. Operations run in the order in which they came.

    While some are committed, others come together; the thread gets those when it has done these,
    so that it is woken once for all of them.
    """

    def __init__(self, engine: Engine, *, capacity: int, fence: Fence | None = None) -> None:
        self._engine = engine
        self._fence = fence
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(capacity)
        self._most_at_once = capacity if fence is None else MOST_AT_ONCE
        self._waiting: deque[_Write[Any, Any]] = deque()
        self._is_busy = False
        self._closed = False
        self._batches: queue.SimpleQueue[_Batch] = queue.SimpleQueue()  # for the thread
        self._connection: Connection | None = None  # the thread's, kept from commit to commit
        self._thread = threading.Thread(target=self._work, name="store-writer")
        self._thread.start()

    async def run(self, operation: Callable[[Connection], T], *, locks: Collection[str] = ()) -> T:
        """As `run_for`, for what is done for one caller alone."""
        return await self.run_for(lambda connection, _: (operation(connection),), None, locks=locks)

    async def run_for(
        self, operation: Operation[A, T], argument: A, *, locks: Collection[str] = ()
    ) -> T:
        """Runs an operation and answers when it is durable. A cancelled caller does not undo it.

        Args:
            operation: What to do, for all callers that wait for the same one after the other. It
                is done again when what was done beside it had to be undone.
            argument: What to do it for.
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
        self._waiting.append(_Write(operation, argument, answer, locks))
        if not self._is_busy:
            self._hand_over()
        return await answer

    async def close(self) -> None:
        """Finishes what waits, then ends the thread."""
        if not self._closed:
            self._closed = True
            if not self._is_busy:
                self._hand_over()
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        """Gives the thread what waits, or the end when nothing will come any more."""
        count = min(len(self._waiting), self._most_at_once)
        batch = [self._waiting.popleft() for _ in range(count)]
        self._is_busy = bool(batch)
        if batch or self._closed:
            self._batches.put(batch)

    def _work(self) -> None:
        while batch := self._batches.get():
            try:
                self._commit(batch)
            except Exception as error:
                for write in batch:
                    write.fail(error)
            self._loop.call_soon_threadsafe(self._settle, batch)
        self._disconnect()

    def _settle(self, batch: _Batch) -> None:
        self._hand_over()
        for write in batch:
            self._room.release()
            write.settle()

    def _commit(self, batch: _Batch) -> None:
        """Most often all is well; a savepoint for each costs more than what is done in it."""
        try:
            self._transact(batch, _together)
        except _Undone:
            self._transact(batch, _each_alone)

    def _transact(self, batch: _Batch, step: Callable[[Connection, _Batch], None]) -> None:
        transaction, complete = "", False
        try:
            connection = self._connection = self._connection or self._engine.connect()
            with connection.begin():
                if self._fence is not None:
                    locks = {name for write in batch for name in write.locks}
                    transaction = self._fence.begin(connection, locks)
                step(connection, batch)
                complete = True
        except _Undone:
            raise
        except Exception:
            self._disconnect()  # a connection that failed is not used again
            if not (complete and transaction and self._was_committed(transaction)):
                raise

    def _was_committed(self, transaction: str) -> bool:
        assert self._fence is not None
        outcome = partial(self._fence.outcome, transaction=transaction)
        return was_committed(self._engine, outcome, goes_on=lambda: not self._closed)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(exc.SQLAlchemyError):
                connection.close()
        self._engine.dispose()
