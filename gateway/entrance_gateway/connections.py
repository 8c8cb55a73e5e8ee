"""How many connections there may be: idle ones make room for new ones, busy ones do not."""

from __future__ import annotations

from typing import Protocol

_REFUSED = 64  # that are told so at once


class Connection(Protocol):
    """A connection that may have to make room."""

    def abort(self) -> None:
        """Closes it at once."""


class Connections:
    """The open connections, at most `limit` of them. Belongs to one event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._busy: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # the one idle longest is first
        self._refused: set[Connection] = set()

    def admit(self, new: Connection) -> bool:
        """Takes in a connection, idle until it has a request; False when all others have one."""
        if len(self._busy) >= self.limit:
            return False
        if len(self._busy) + len(self._idle) >= self.limit:
            longest_idle = next(iter(self._idle))
            del self._idle[longest_idle]
            longest_idle.abort()
        self._idle[new] = None
        return True

    def refuse(self, connection: Connection) -> bool:
        """Whether there is still room to tell a connection why it is refused."""
        if len(self._refused) >= _REFUSED:
            return False
        self._refused.add(connection)
        return True

    def begin(self, connection: Connection) -> None:
        """A connection has a request."""
        if connection in self._idle:
            del self._idle[connection]
            self._busy.add(connection)

    def end(self, connection: Connection) -> None:
        """A connection has answered its request and may have another one."""
        if connection in self._busy:
            self._busy.remove(connection)
            self._idle[connection] = None

    def forget(self, connection: Connection) -> None:
        """A connection is closed."""
        self._busy.discard(connection)
        self._idle.pop(connection, None)
        self._refused.discard(connection)
