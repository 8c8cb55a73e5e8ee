"""Hears what other servers of the database tell, on a connection and a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import Engine, exc

from entrance_server.store.postgresql import CHANNEL

log = structlog.get_logger(__name__)

RETRY = 1.0  # seconds

MISSED = ""  # what is heard after a time without a connection: anything may have been told


class Listener:
    """Calls back in the event loop with each notice. A notice may be heard twice, or too late."""

    def __init__(self, engine: Engine, heard: Callable[[str], None]) -> None:
        self._engine = engine
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._work, name="store-listener")
        self._thread.start()

    async def close(self) -> None:
        """Ends the thread."""
        self._closing.set()
        self._waker.send(b"!")
        await asyncio.to_thread(self._thread.join)
        self._waker.close()
        self._woken.close()

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                with self._engine.connect() as connection:
                    self._listen(connection.connection.driver_connection)
            except (exc.SQLAlchemyError, OSError) as error:
                log.warning("the store tells nothing", error=" ".join(str(error).split()))
            except Exception:
                log.exception("listening to the store failed")
            self._closing.wait(RETRY)

    def _listen(self, connection: Any) -> None:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError):
            connection.execute(f"LISTEN {CHANNEL}")
            self._tell(MISSED)
            while not self._closing.is_set():
                select.select([connection, self._woken], [], [])
                for notice in connection.notifies(timeout=0):
                    self._tell(notice.payload)
            connection.execute(f"UNLISTEN {CHANNEL}")

    def _tell(self, text: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._heard, text)
