"""How signals are called."""

from __future__ import annotations

import signal


def signal_name(number: int) -> str:
    """The name of a signal, such as `SIGKILL`; not every signal has one."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
