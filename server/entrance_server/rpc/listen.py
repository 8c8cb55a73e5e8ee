"""Where the gRPC server listens, and what protects its callers' secrets on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import grpc
import structlog

from entrance.hosts import is_loopback
from entrance.tls import TlsContent, TlsError, TlsFiles, TlsSource

log = structlog.get_logger(__name__)


class ListenError(Exception):
    """The server can't listen, or may not as it is told to; the message says what to change."""


def protection(
    host: str,
    *,
    certificate: Path | None,
    key: Path | None,
    client_authorities: Path | None,
    allow_insecure: bool,
) -> grpc.ServerCredentials | None:
    """What protects an address: TLS by files that are read again when they change, or nothing.

    Raises:
        ListenError: others could read what goes to the address, or the files can't be used.
    """
    try:
        files = TlsFiles(certificate, key, client_authorities)
        if certificate is not None:
            return _credentials(TlsSource(files))
    except TlsError as error:
        raise ListenError(f"TLS: {error}.") from None
    if client_authorities is not None:
        raise ListenError(
            "The server can't ask callers for certificates without one of its own; name it with "
            "--tls-cert and --tls-key."
        )
    if not (allow_insecure or is_loopback(host)):
        raise ListenError(
            f"The server would listen on {host} without TLS, so that others could read tokens and "
            "code on their way. Name a certificate with --tls-cert and --tls-key, or say that the "
            "network is trusted with --insecure."
        )
    return None


def listen(
    server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None
) -> None:
    """Lets a server take calls at an address once it starts.

    Raises:
        ListenError: the address is taken or not of this machine.
    """
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError:
        raise ListenError(
            f"The server can't listen on {address}: the address is in use or not of this machine; "
            "choose another one with --host and --port."
        ) from None


def listen_locally(server: grpc.aio.Server, path: Path) -> None:
    """Lets a server take calls without TLS at a socket that its own user alone can open.

    Raises:
        ListenError: the socket can't be made, or others may enter its directory.
    """
    try:
        if path.parent.stat().st_mode & 0o077:  # the socket itself is private a moment too late
            raise ListenError(
                f"Others may enter {path.parent}; choose a directory for --local-socket that is "
                "private to the server's user."
            )
        server.add_insecure_port(f"unix:{path}")
        path.chmod(0o600)
    except (RuntimeError, OSError):
        raise ListenError(
            f"The server can't listen on the socket {path}: its directory is missing or not "
            "writable, or its path is longer than about 100 characters; choose another one with "
            "--local-socket."
        ) from None


def _credentials(source: TlsSource) -> grpc.ServerCredentials:
    """Credentials that look for new certificates at every handshake."""

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        try:
            content = source.renewed()
        except TlsError as error:
            log.error("certificates not renewed", error=str(error))
            return None
        if content is None:
            return None
        log.info("certificates renewed")
        return _configuration(content)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(source.content),
        cast(Any, renewed),  # None keeps what there is, which its type does not tell
        require_client_authentication=source.content.authorities is not None,
    )


def _configuration(content: TlsContent) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [content.own], root_certificates=content.authorities
    )
