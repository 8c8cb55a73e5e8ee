"""The way to a client: what is sent with one call of the system rather than with several."""

from __future__ import annotations

import asyncio
from typing import Any, Final

_HEAD: Final = b"HTTP/1.1 "


class WholeAnswers:
    """A transport that sends the head of an answer with the first of its body.

    A head that nothing follows in the same turn of the event loop goes alone.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Sends, or keeps what begins as a head does for a moment."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        elif data.startswith(_HEAD):
            self._head = data
            self._loop.call_soon(self._send_head)
        else:
            self._transport.write(data)

    def write_eof(self) -> None:
        """Ends what is sent."""
        self._send_head()
        self._transport.write_eof()

    def close(self) -> None:
        """Closes the connection when everything is sent."""
        self._send_head()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """The bytes that are not sent yet."""
        return len(self._head) + self._transport.get_write_buffer_size()

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
