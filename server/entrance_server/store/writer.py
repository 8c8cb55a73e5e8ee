"""One thread that writes, and commits everything that waits at once."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine

from entrance_server.store.connect import is_unavailable, unavailable
from entrance_server.store.port import StoreUnavailable

T = TypeVar("T")


class _Write(Generic[T]):
    """An operation on its way: what to do, who waits for it, and what came of it."""

    def __init__(self, operation: Callable[[Connection], T], answer: asyncio.Future[T]) -> None:
        self._operation = operation
        self._answer = answer
        self._result: T | None = None
        self._error: Exception | None = None

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
        self._error = unavailable(error)
        self._error.__cause__ = error

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

    def __init__(self, engine: Engine, *, capacity: int) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(capacity)
        self._waiting: queue.SimpleQueue[_Write[object] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="store-writer")
        self._thread.start()

    async def run(self, operation: Callable[[Connection], T]) -> T:
        """Runs an operation and answers when it is durable. A cancelled caller does not undo it.

        Raises:
            StoreUnavailable: nothing was changed, by this operation or by those beside it.
        """
        await self._room.acquire()
        if self._closed:
            self._room.release()
            raise StoreUnavailable("the store is closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put(_Write(operation, answer))  # type: ignore[arg-type]
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
                with self._engine.begin() as connection:
                    for write in batch:
                        write.attempt(connection)
            except Exception as error:
                self._engine.dispose()  # a connection that failed is not used again
                for write in batch:
                    write.fail(error)
            self._loop.call_soon_threadsafe(self._settle, batch)

    def _batches(self) -> Iterator[list[_Write[object]]]:
        """All that waits at a time, until the end."""
        while (first := self._waiting.get()) is not None:
            batch = [first]
            with contextlib.suppress(queue.Empty):
                while (more := self._waiting.get_nowait()) is not None:
                    batch.append(more)
                self._waiting.put(None)  # the end came early; keep it for the next turn
            yield batch

    def _settle(self, batch: list[_Write[object]]) -> None:
        for write in batch:
            self._room.release()
            write.settle()
