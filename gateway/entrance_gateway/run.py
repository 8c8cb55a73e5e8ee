"""Runs the gateway until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any, cast

import structlog
import uvicorn

from entrance.descriptors import allow_descriptors
from entrance_gateway import tls
from entrance_gateway.app import Application
from entrance_gateway.config import GatewaySettings
from entrance_gateway.connections import Connections
from entrance_gateway.protocol import EnvelopedHttp

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_OTHER_FILES = 200  # that a gateway has open beside its connections, at most
_BACKLOG = 1_024  # connections that wait to be accepted

log = structlog.get_logger()


async def serve(
    settings: GatewaySettings,
    *,
    ready: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serves until told to stop: streams end at once, other requests have the grace period.

    Cancelling the call stops it in the same way.

    Args:
        settings: where to listen, where the server is, and the limits.
        ready: called with the port once requests are taken.
        stop: ends it when set; None means SIGINT and SIGTERM do.

    Raises:
        ProtectionError: secrets would go in clear where others can read them, or TLS can't be used.
        OSError: the address can't be listened on.
    """
    source = tls.to_callers(settings)
    tls.to_server(settings)  # so that what is wrong there is told before anything starts
    if not allow_descriptors(settings.max_connections + _OTHER_FILES):
        log.warning("gateway.too_few_open_files", needed_for="max_connections")
    async with AsyncExitStack() as stack:
        context = await stack.enter_async_context(tls.serving_context(source)) if source else None
        listener = stack.enter_context(_listening(settings))
        told = stack.enter_context(_told(stop))
        port = listener.getsockname()[1]

        def started() -> None:
            if ready is not None:
                ready(port)
            target = settings.server_target
            where = {"host": settings.host, "port": port, "tls": context is not None}
            log.info("gateway.listening", **where, server=target)

        app = Application(settings)
        server = _Server(_config(settings, app, context), app.closing, started)
        await _run(server, listener, told)


async def _run(server: _Server, listener: socket.socket, told: asyncio.Event) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    waiting = asyncio.create_task(told.wait())
    try:
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Leaves signals alone, tells when it has started, and ends streams when it stops."""

    def __init__(
        self, config: uvicorn.Config, closing: asyncio.Event, started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._closing = closing
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(
    settings: GatewaySettings, app: Application, context: ssl.SSLContext | None
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast(Any, partial(EnvelopedHttp, places=Connections(settings.max_connections))),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ssl_context_factory=(lambda *_: context) if context else None,
        backlog=_BACKLOG,
        timeout_keep_alive=settings.idle_connection,
        timeout_graceful_shutdown=settings.shutdown_grace,
    )


@contextmanager
def _listening(settings: GatewaySettings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    address = (settings.host, settings.port)
    with socket.create_server(address, family=family, backlog=_BACKLOG) as listener:
        # Connections inherit it; without, an answer's second packet may wait 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


@contextmanager
def _told(stop: asyncio.Event | None) -> Iterator[asyncio.Event]:
    """The event that ends the serving: the caller's, or one that signals set."""
    if stop is not None:
        yield stop
        return
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, told.set)
    try:
        yield told
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
