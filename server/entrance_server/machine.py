"""The machine that a server runs on, as other servers tell it from theirs."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def machine_name() -> str:
    """Names this machine, or container, until its next start: processes on it end with that."""
    boot = boot_id()
    return f"{socket.gethostname()}/{boot}" if boot else socket.gethostname()


def boot_id() -> str:
    """Names this start of the machine; "" where nothing does."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
