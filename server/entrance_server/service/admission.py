"""Whether this server takes new jobs."""

from __future__ import annotations

from entrance_server.domain.errors import Unavailable
from entrance_server.service.disk_guard import DiskGuard
from entrance_server.store.port import Store


class Admission:
    """Refuses new jobs while the server is offline or has little disk, and when it stops."""

    def __init__(self, *, store: Store, instance: str, disk: DiskGuard) -> None:
        self._store = store
        self._instance = instance
        self._disk = disk
        self._stops = False
        self.is_online = True
        """Whether an administrator lets it take jobs."""

    async def load(self) -> None:
        """Reads what was decided before a restart. Called once, before the first call."""
        self.is_online = await self._store.is_online(self._instance)

    async def set_online(self, online: bool) -> None:
        """Takes the server offline or back, for its next start too.

        Raises:
            StoreUnavailable: nothing was changed.
        """
        await self._store.set_online(self._instance, online)
        self.is_online = online

    def stop(self) -> None:
        """Takes no job any more, since the server is about to end."""
        self._stops = True

    def check(self) -> None:
        """Lets a new job in.

        Raises:
            Unavailable: the server takes none.
            Exhausted: there is too little disk.
        """
        if self._stops:
            raise Unavailable("The server stops; submit again in a moment.", reason="STOPPING")
        if not self.is_online:
            raise Unavailable(
                f"The server {self._instance} takes no new jobs: an administrator has taken it "
                "offline. Submit to another one, or again when it is back online.",
                reason="OFFLINE",
            )
        self._disk.check()
