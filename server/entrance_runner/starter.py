"""The runner's side of the process that starts others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any

from entrance_runner.starter_process import Order

_LOST = "the process that starts the others was ended"


class Child(asyncio.Protocol):
    """A process below the starter, in the words of `asyncio.subprocess.Process`.

    Attributes:
        pid: Its number, once it has begun.
        returncode: Its exit status, negative for a signal; None while it runs, and where the
            starter was lost.
        left_nothing: Whether no process was left below the starter when it had ended.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self.left_nothing = False
        self._begun = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._received = b""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or nobody will tell of that."""
        return self._over.is_set()

    async def begun(self) -> None:
        """Waits until it has become its program.

        Raises:
            OSError: it can't, as the message says.
        """
        await self._begun

    async def wait(self) -> int | None:
        """Waits for its end, and gives the exit status; None where nobody can tell it."""
        await self._over.wait()
        return self.returncode

    def kill(self) -> None:
        """Ends it by force."""
        if self.pid and not self.is_over:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def data_received(self, data: bytes) -> None:
        """Takes what the starter tells."""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:
        """Notes that the starter tells nothing more."""
        self._settle(OSError(_LOST))
        self._over.set()

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"pid": pid}:
                self.pid = pid
                self._settle(None)
            case {"refused": reason}:
                self._settle(OSError(reason))
            case {"status": status, "alone": alone}:
                self.returncode, self.left_nothing = status, alone
                self._over.set()

    def _settle(self, error: OSError | None) -> None:
        if self._begun.done():
            return
        if error:
            self._begun.set_exception(error)
        else:
            self._begun.set_result(None)


class Starter:
    """The starter that `starter_process.forked` gave."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control = control
        self.pid = pid
        control.setblocking(False)

    @property
    def is_lost(self) -> bool:
        """Whether it has ended, so that nothing can be started any more."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is not None

    async def start(self, order: Order, child: Child, descriptors: Sequence[int]) -> None:
        """Starts a process, and returns when it has become its program.

        Args:
            order: What to start.
            child: Becomes the process; known before, since a cancelled start may have begun.
            descriptors: That of its output, then those of the order.

        Raises:
            OSError: it can't be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(lambda: child, sock=ours)
            try:
                socket.send_fds(self._control, [b"\0"], [theirs.fileno(), *descriptors])
            except OSError as error:
                transport.close()
                raise OSError(_LOST) from error
        transport.write(order.to_line())
        await child.begun()
