"""Files here of sessions that another server of the store took over."""

from __future__ import annotations

import asyncio
from typing import Protocol, Self

import structlog

from entrance_server.keeper import Keeper
from entrance_server.store.port import Store, StoreUnavailable

log = structlog.get_logger(__name__)


class SessionFiles(Protocol):
    """A part of `LocalLauncher`."""

    async def found(self) -> set[str]:
        """The sessions that have files here."""

    async def end_stray(self, session_id: str) -> None:
        """Ends what is left of one, and removes its files."""


class Leftovers(Keeper):
    """Removes such files once the session is over. An async context manager.

    Whoever took a session over ends it, but can't reach the directories of the server that it is
    from. Which sessions these are is known when that server is back: those that it has files of,
    and that are another's by then.
    """

    def __init__(
        self, *, store: Store, files: SessionFiles, instance: str, interval: float
    ) -> None:
        self._store = store
        self._files = files
        self._instance = instance
        self._interval = interval
        self._waiting: set[str] = set()

    async def __aenter__(self) -> Self:
        others = {
            one.session_id
            for one in await self._store.list_sessions()
            if one.owner != self._instance
        }
        self._waiting = await self._files.found() & others
        return await super().__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        await super().__aexit__(*exc_info)
        await self._look()

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._interval)
            await self._look()

    async def _look(self) -> None:
        if not self._waiting:
            return
        try:
            known = {one.session_id for one in await self._store.list_sessions()}
        except StoreUnavailable as error:
            log.warning("files of sessions not looked through", error=str(error))
            return
        for session_id in self._waiting - known:
            await self._files.end_stray(session_id)
            self._waiting.discard(session_id)
