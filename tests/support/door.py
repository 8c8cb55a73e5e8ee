"""A TCP port before a program's own: shut, nobody reaches the program, and no connection lasts."""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator

HOST = "127.0.0.1"
PIECE = 64 * 1024  # bytes


class Door:
    """Passes on what comes, while it is open."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self._upstream = upstream
        self._server: _Server | None = None

    @property
    def holds(self) -> bool:
        """Whether as much has come in as it lets in."""
        return self._server is not None and self._server.room <= 0

    def open(self, *, room: float = math.inf) -> None:
        """Lets callers in, at the same port each time; of what they send so many bytes."""
        self._server = _Server(self.port, self._upstream, room)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def shut(self) -> None:
        """Refuses callers, and breaks off with those that are in."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.break_off()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, upstream: int, room: float) -> None:
        self.room = room
        self._connections: set[socket.socket] = set()
        self._upstream = upstream
        super().__init__((HOST, port), _Passing)

    @contextlib.contextmanager
    def upstream(self, caller: socket.socket) -> Iterator[socket.socket]:
        """A connection to the program for a caller."""
        with socket.create_connection((HOST, self._upstream)) as program:
            self._connections |= {caller, program}
            try:
                yield program
            finally:
                self._connections -= {caller, program}

    def break_off(self) -> None:
        """Ends every connection."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Passing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        with (
            contextlib.suppress(OSError),
            server.upstream(self.request) as program,
            selectors.DefaultSelector() as ready,
        ):
            ready.register(self.request, selectors.EVENT_READ, program)
            ready.register(program, selectors.EVENT_READ, self.request)
            while True:
                for key, _ in ready.select():
                    source: socket.socket = key.fileobj  # type: ignore[assignment]
                    if not (data := source.recv(PIECE)):
                        return
                    if source is self.request:
                        server.room -= len(data)
                    if server.room > 0:
                        key.data.sendall(data)
