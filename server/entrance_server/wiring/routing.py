"""Lets servers of one store answer for each other's jobs."""

from __future__ import annotations

import asyncio

from entrance.tls import TlsError, TlsFiles, TlsSource
from entrance_server import data_dir as directories
from entrance_server.config import ServerSettings
from entrance_server.rpc.hops import Seal
from entrance_server.rpc.peers import Peers
from entrance_server.rpc.places import Places
from entrance_server.rpc.routing import Routing
from entrance_server.service.live import LiveJobs
from entrance_server.wiring.base import Base, StartError


async def wire_routing(base: Base, live: LiveJobs) -> tuple[Seal | None, Routing | None]:
    """What calls are passed on by, and known by when they were; None where there is one server."""
    settings = base.settings
    if not settings.is_shared:
        return None, None
    seal = Seal(await asyncio.to_thread(directories.cluster_key, settings.files_dir))
    source = await asyncio.to_thread(_peer_tls, settings)
    peers = await base.stack.enter_async_context(
        Peers(instance=base.instance, owners=base.store, seal=seal, tls=source)
    )
    places = Places(
        instance=base.instance,
        owners=base.store,
        is_here=lambda task_id: live.get(task_id) is not None,
        clock=base.clock,
    )
    return seal, Routing(places, peers)


def _peer_tls(settings: ServerSettings) -> TlsSource | None:
    """What calls to other servers are protected by: TLS where this one has it too. Blocks."""
    if settings.tls_cert is None:
        return None
    try:
        return TlsSource(TlsFiles(settings.tls_cert, settings.tls_key, settings.peer_tls_ca))
    except TlsError as error:
        raise StartError(f"TLS between servers: {error}.") from None
