"""Opens the store, and joins the servers that share it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta

import structlog

from entrance_server.domain.instances import Instance, Lease
from entrance_server.machine import machine_name
from entrance_server.service.lease import LeaseKeeper, Takeover
from entrance_server.service.recovery import Recovery
from entrance_server.store import SqlStore
from entrance_server.store.listener import MISSED
from entrance_server.store.members import LEFT
from entrance_server.store.port import NameTaken, SchemaTooNew, StoreUnavailable
from entrance_server.wiring.base import Base, StartError

STORE_RETRY = 0.5  # seconds

log = structlog.get_logger(__name__)


async def open_store(store: SqlStore, patience: float) -> None:
    """Opens the store; a shared one may come a little later than its servers.

    Raises:
        StartError: it can't be this release's store.
        StoreUnavailable: it did not answer for so many seconds.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            return await store.open()
        except (SchemaTooNew, ValueError) as error:
            raise StartError(str(error)) from None
        except StoreUnavailable as error:
            if not store.is_shared or loop.time() >= deadline:
                raise
            log.warning("waiting for the store", error=str(error))
        await asyncio.sleep(STORE_RETRY)


async def join(base: Base, port: int, lease_ended: Callable[[], None]) -> Lease:
    """Joins the servers of the store, and keeps the lease until the server stops.

    Raises:
        StartError: another server has the same name, and renews its lease.
    """
    settings, store, instance, tenure = base.settings, base.store, base.instance, base.tenure
    length = timedelta(seconds=settings.lease_seconds) if store.is_shared else None
    first_holder: Instance | None = None
    while True:
        taken = tenure.now()
        try:
            lease = await store.join(
                instance,
                address=settings.advertise or _address(settings.host, port),
                home=f"{machine_name()}:{settings.data_dir.resolve()}",
                lease=length,
            )
            break
        except NameTaken as refused:
            holder = first_holder = first_holder or refused.holder
            if refused.holder.lease_expire_time != holder.lease_expire_time:
                raise StartError(
                    f"Another server of this store is named {instance} and runs at "
                    f"{refused.holder.address}; give this one another name by ENTRANCE_INSTANCE."
                ) from None
            log.warning("waiting for the end of a lease", instance=instance, at=holder.address)
        await asyncio.sleep(STORE_RETRY)  # it may be the lease of a server that is gone
    if length is not None:
        base.stack.enter_context(tenure.watched(lease_ended))
        await base.stack.enter_async_context(
            LeaseKeeper(members=store, lease=lease, length=length, taken=taken, tenure=tenure)
        )
    return lease


async def take_over(base: Base, lease: Lease, recovery: Recovery) -> None:
    """Takes over from other servers of the store that are gone, until the server stops."""
    takeover = Takeover(
        members=base.store,
        lease=lease,
        interval=timedelta(seconds=base.settings.lease_seconds / 3),
        inherit=recovery.inherit,
    )
    await base.stack.enter_async_context(takeover)
    base.store.hear(lambda text: takeover.look() if text in (LEFT, MISSED) else None)


def _address(host: str, port: int) -> str:
    """Where other servers reach this one, unless it was told."""
    if host in ("0.0.0.0", "::"):  # everywhere
        host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
