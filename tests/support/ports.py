"""Ports of loopback that nobody listens at."""

from __future__ import annotations

import socket
from contextlib import ExitStack

HOST = "127.0.0.1"


def free_port() -> int:
    """One port."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """As many different ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
