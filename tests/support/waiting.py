"""Waiting for what another process does: for a condition, never for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")

PATIENCE = 60.0  # seconds; only a test that fails waits so long
INTERVAL = 0.02  # seconds


def until(
    condition: Callable[[], Answer | None], what: str, *, patience: float = PATIENCE
) -> Answer:
    """The first answer of a condition that is true; `what` says what is waited for."""
    deadline = time.monotonic() + patience
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"this did not come true in {patience:g} s: {what}")
        time.sleep(INTERVAL)
    return answer


async def eventually(condition: Callable[[], Awaitable[object] | object], what: str) -> None:
    """Returns when a condition is true, which the event loop may make so."""
    deadline = time.monotonic() + PATIENCE
    while not (await answer if inspect.isawaitable(answer := condition()) else answer):
        if time.monotonic() > deadline:
            raise AssertionError(f"this did not come true in {PATIENCE:g} s: {what}")
        await asyncio.sleep(INTERVAL)
