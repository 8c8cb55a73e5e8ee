"""How a process that serves calls looks for garbage."""

from __future__ import annotations

import gc
from typing import Final

AFTER: Final = 10_000  # new objects; calls make many that stay for a moment, and no cycles


def collect_less() -> None:
    """Looks seldom, and never at what is there already. Called once everything is imported."""
    gc.freeze()
    gc.set_threshold(AFTER)
