"""Wires the server together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2

from entrance.descriptors import allow_descriptors
from entrance_server import data_dir as directories
from entrance_server.audit_log import AuditLog
from entrance_server.clock import kept_clock
from entrance_server.config import ServerSettings
from entrance_server.machine import boot_id
from entrance_server.rpc.listen import listen, listen_locally, protection
from entrance_server.rpc.server import SERVICE, Limits, create_server
from entrance_server.service.live import LiveJobs
from entrance_server.store import SqlStore
from entrance_server.store.port import StoreUnavailable
from entrance_server.tenure import Tenure
from entrance_server.wiring.base import Base, require_late_libraries
from entrance_server.wiring.identities import wire_identities
from entrance_server.wiring.jobs import wire_jobs
from entrance_server.wiring.membership import join, open_store, take_over
from entrance_server.wiring.routing import wire_routing

OTHER_FILES = 1_000  # that a server has open beside its connections, at most

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers calls."""

    port: int
    instance: str
    tls: bool


@asynccontextmanager
async def running(
    settings: ServerSettings, *, lease_ended: Callable[[], None]
) -> AsyncIterator[Server]:
    """A server from here to the end of the block; runs that go on then are left to the next one.

    Args:
        settings: The server's settings.
        lease_ended: Called, in a thread, when the server may not go on, since others of its store
            may have taken over from it. It must end everything at once.

    Raises:
        StartError, ListenError, DataDirError, StoreUnavailable: it can't start.
    """
    require_late_libraries()
    credentials = protection(
        settings.host,
        certificate=settings.tls_cert,
        key=settings.tls_key,
        client_authorities=settings.tls_client_ca,
        allow_insecure=settings.allow_insecure,
    )
    if not allow_descriptors(settings.max_connections + OTHER_FILES):
        log.warning("the limit of open files is lower than max_connections needs")
    async with AsyncExitStack() as stack:
        stack.enter_context(directories.locked(settings.data_dir))
        directories.made(settings.files_dir)
        port = settings.port or _free_port(settings.host)
        base = await _base(settings, stack, port)
        lease = await join(base, port, lease_ended)
        authenticator, identities = await wire_identities(base)
        live = LiveJobs(clock=base.clock)
        parts = await wire_jobs(base, live)
        seal, routing = await wire_routing(base, live)
        audit = await stack.enter_async_context(
            AuditLog(
                settings.data_dir / "audit.log",
                max_bytes=settings.audit_bytes,
                old_files=settings.audit_files,
            )
        )
        status = health.aio.HealthServicer()
        server = create_server(
            [*parts.services, *identities],
            authenticator=authenticator,
            health_servicer=status,
            trusted_gateways=settings.trusted_gateways,
            limits=Limits(
                connections=settings.max_connections,
                concurrent_calls=settings.max_calls,
                streams_per_user=settings.max_streams_per_user,
            ),
            audit=audit,
            seal=seal,
            routing=routing,
        )
        listen(server, settings.host, port, credentials)
        if settings.local_socket is not None:
            listen_locally(server, settings.local_socket)
        await parts.recovery.recover()
        if base.store.is_shared:
            await take_over(base, lease, parts.recovery)
        await server.start()
        stack.push_async_callback(_stop, server, status, settings.shutdown_grace)
        stack.callback(parts.admission.stop)
        for service in ("", SERVICE):
            await status.set(service, health_pb2.HealthCheckResponse.SERVING)
        tls = credentials is not None
        log.info("serving", host=settings.host, port=port, tls=tls, instance=base.instance)
        yield Server(port, base.instance, tls)


async def _base(settings: ServerSettings, stack: AsyncExitStack, port: int) -> Base:
    instance = directories.instance_name(settings.data_dir, settings.instance, port)
    clock = await stack.enter_async_context(
        kept_clock(settings.data_dir / "clock.json", boot_id=boot_id())
    )
    store = SqlStore(settings.database_url, clock=clock)
    await open_store(store, settings.store_wait)
    stack.push_async_callback(store.close)
    return Base(
        settings=settings,
        store=store,
        instance=instance,
        clock=clock,
        tenure=Tenure(),
        stack=stack,
    )


async def serve(
    settings: ServerSettings,
    *,
    ready_file: Path | None = None,
    restart: Callable[[int], None],
    rejoins: bool = False,
) -> None:
    """Runs a server until SIGTERM or SIGINT.

    Args:
        settings: The server's settings.
        ready_file: Where the port and the instance are written, as JSON, once calls are answered.
        restart: Begins this process anew, at a port; called in a thread when the server has lost
            its lease.
        rejoins: Whether it was begun anew by that, and so waits for its store as long as it takes.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)

    def lease_ended() -> None:
        """Called in a thread."""
        log.error("the lease has ended; nothing goes on in this process")
        if stop.is_set():
            os._exit(1)  # it was stopping, and the store holds that up
        restart(port)

    port = settings.port
    while not stop.is_set():
        try:
            async with running(settings, lease_ended=lease_ended) as server:
                port = server.port
                if ready_file is not None:
                    await asyncio.to_thread(_write_ready, ready_file, server)
                await stop.wait()
                log.info("stopping")
        except StoreUnavailable:
            if not rejoins:
                raise


async def _stop(server: grpc.aio.Server, status: health.aio.HealthServicer, grace: float) -> None:
    await status.enter_graceful_shutdown()
    await server.stop(grace)


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _write_ready(path: Path, server: Server) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(dataclasses.asdict(server)))
    temporary.replace(path)
