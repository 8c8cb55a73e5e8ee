"""Steps that must not be lost: repeated until the store or the disk takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from entrance_server.logs import LogUnavailable
from entrance_server.results import ResultUnavailable
from entrance_server.store.port import StoreUnavailable

log = structlog.get_logger(__name__)
Result = TypeVar("Result")

FIRST_DELAY = 0.1  # seconds
MOST_DELAY = 5.0  # seconds


async def durably(step: Callable[[], Awaitable[Result]]) -> Result:
    """Repeats a step while storage is away, and gives its result."""
    delay = FIRST_DELAY
    while True:
        try:
            return await step()
        except (StoreUnavailable, LogUnavailable, ResultUnavailable) as error:
            log.warning("waiting for storage", error=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, MOST_DELAY)
