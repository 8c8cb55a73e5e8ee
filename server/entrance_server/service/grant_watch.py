"""Ends what goes on by grants that ended at another server of the store."""

from __future__ import annotations

import structlog

from entrance_server.keeper import Watch
from entrance_server.service.auth import Authenticator
from entrance_server.store.port import StoreUnavailable

log = structlog.get_logger(__name__)

INTERVAL = 30.0  # seconds


class GrantWatch(Watch):
    """Looks into the store now and then, should a notice not have come. A context manager."""

    def __init__(self, authenticator: Authenticator) -> None:
        super().__init__()
        self._authenticator = authenticator

    async def _work(self) -> None:
        while True:
            await self._rest(INTERVAL)
            try:
                await self._authenticator.recheck()
            except StoreUnavailable as error:
                log.warning("identities not looked through", error=str(error))
