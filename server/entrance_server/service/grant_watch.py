"""Ends what goes on by grants that ended at another server of the store."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

import structlog

from entrance_server.service.auth import Authenticator
from entrance_server.store.port import StoreUnavailable

log = structlog.get_logger(__name__)

INTERVAL = 30.0  # seconds


class GrantWatch:
    """Looks into the store now and then, should a notice not have come. A context manager."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._wanted = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._working = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    def look(self) -> None:
        """Looks at once, since notices may have been missed."""
        self._wanted.set()

    async def _work(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._authenticator.recheck()
            except StoreUnavailable as error:
                log.warning("identities not looked through", error=str(error))
