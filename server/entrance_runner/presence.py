"""Whether a server is there: a call or a stream that is open, and how long ago the last one was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


class Presence:
    """Counts the calls that are open."""

    def __init__(self) -> None:
        self._open = 0
        self._last = asyncio.get_running_loop().time()

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Holds while a call is open."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._last = asyncio.get_running_loop().time()

    async def wait_absent(self, timeout: float) -> None:
        """Returns when no call was open for `timeout` seconds."""
        loop = asyncio.get_running_loop()
        while True:
            left = timeout if self._open else self._last + timeout - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(left)
