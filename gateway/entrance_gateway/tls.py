"""TLS of the gateway, to its callers and to the server, by files that are read anew."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from entrance.hosts import is_local, is_loopback
from entrance.tls import TlsContent, TlsError, TlsFiles, TlsSource
from entrance_gateway.config import GatewaySettings

LOOK_INTERVAL = 1.0  # seconds between looks at the files

log = structlog.get_logger()


class ProtectionError(Exception):
    """As it is told to run, the gateway is not protected; the message says what to change."""


def to_callers(settings: GatewaySettings) -> TlsSource | None:
    """What HTTP is protected by; None is by nothing.

    Raises:
        ProtectionError: others could read what goes to the address, or the files can't be used.
    """
    try:
        files = TlsFiles(settings.tls_cert, settings.tls_key)
        if files.certificate is not None:
            return TlsSource(files)
    except TlsError as error:
        raise ProtectionError(f"TLS: {error}.") from None
    if not (settings.allow_insecure or is_loopback(settings.host)):
        raise ProtectionError(
            f"The gateway would listen on {settings.host} without TLS, so that others could read "
            "passwords, tokens and code on their way. Name a certificate with --tls-cert and "
            "--tls-key, or say that the network is trusted, or that TLS ends before it, with "
            "--insecure."
        )
    return None


def to_server(settings: GatewaySettings) -> TlsSource | None:
    """What calls to the server are protected by; None is by nothing.

    Raises:
        ProtectionError: others could read what goes to the server, or the files can't be used.
    """
    try:
        files = TlsFiles(settings.server_tls_cert, settings.server_tls_key, settings.server_tls_ca)
        if settings.server_tls or files != TlsFiles():
            return TlsSource(files)
    except TlsError as error:
        raise ProtectionError(f"TLS to the server: {error}.") from None
    if not (settings.allow_insecure or is_local(settings.server_target)):
        raise ProtectionError(
            f"The gateway would hand its callers' secrets to {settings.server_target} in clear. "
            "Name the authorities that vouch for the server with --server-tls-ca, use the system's "
            "with --server-tls, or say that the network is trusted with --insecure."
        )
    return None


@asynccontextmanager
async def serving_context(source: TlsSource) -> AsyncIterator[ssl.SSLContext]:
    """A context for HTTP that has the newest certificate, from here to the end of the block."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    source.files.load_into(context)

    async def load(_: TlsContent) -> None:
        await asyncio.to_thread(source.files.load_into, context)

    async with kept_current(source, load):
        yield context


@asynccontextmanager
async def kept_current(
    source: TlsSource, use: Callable[[TlsContent], Awaitable[None]]
) -> AsyncIterator[None]:
    """Hands on what is new in files, from here to the end of the block."""
    looking = asyncio.create_task(_look(source, use))
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _look(source: TlsSource, use: Callable[[TlsContent], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(LOOK_INTERVAL)
        try:
            content = await asyncio.to_thread(source.renewed)
            if content is not None:
                await use(content)
                log.info("gateway.certificates_renewed", files=source.files)
        except TlsError as error:
            log.error("gateway.certificates_not_renewed", error=str(error))
