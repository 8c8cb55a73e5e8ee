"""Where a runner listens: a socket of its machine, or a port that only its server may call."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc
import grpc.aio

CREDENTIALS_MOST = 64 * 1024  # bytes
KEEPALIVE = 2_000  # milliseconds
# a server whose machine is gone must not look as if it were there
_NETWORK_OPTIONS = (
    ("grpc.keepalive_time_ms", KEEPALIVE),
    ("grpc.keepalive_timeout_ms", KEEPALIVE),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE // 2),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
)

Options = tuple[tuple[str, int], ...]


class Endpoint(Protocol):
    """Where a runner listens.

    Attributes:
        options: Those of a gRPC server that listens there.
        owner: A descriptor at whose end of file the runner has lost whoever started it; or None.
    """

    options: Options
    owner: int | None

    def bind(self, server: grpc.aio.Server) -> None:
        """Lets a server listen there."""

    def announce(self) -> None:
        """Lets callers find it, once it answers."""


class UnixSocket:
    """A socket that its owner alone may connect to."""

    options: Options = ()
    owner: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path

    def bind(self, server: grpc.aio.Server) -> None:
        """Listens under another name, which `announce` replaces."""
        mask = os.umask(0o177)  # the socket is the owner's alone from its first moment
        try:
            server.add_insecure_port(f"unix:{self._path}~")
        finally:
            os.umask(mask)

    def announce(self) -> None:
        """Gives the socket its name: whoever sees it can connect."""
        os.rename(f"{self._path}~", self._path)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What both sides of a connection know each other by, as PEM.

    `authority` certifies the server that may call.
    """

    key: str
    certificate: str
    authority: str

    @classmethod
    def read(cls, descriptor: int) -> Credentials:
        """Reads them as one line of JSON, and nothing beyond it. Blocks.

        Raises:
            ValueError: there is no such line.
        """
        text = bytearray()
        while not text.endswith(b"\n") and len(text) < CREDENTIALS_MOST:
            if not (byte := os.read(descriptor, 1)):
                break
            text += byte
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise ValueError(f"no credentials on standard input: {error}") from None


class TlsPort:
    """A port of the network, where both sides show certificates.

    The address it has in the end is printed, and standard input tells by its end that whoever
    started the runner is gone.
    """

    options: Options = _NETWORK_OPTIONS
    owner: int | None = 0

    def __init__(self, address: str, credentials: Credentials) -> None:
        self._scheme, _, self._where = address.partition(":")
        self._credentials = credentials
        self._port = 0

    def bind(self, server: grpc.aio.Server) -> None:
        """Listens; at a free port when the address has the port 0."""
        own = self._credentials
        self._port = server.add_secure_port(
            self._where,
            grpc.ssl_server_credentials(
                [(own.key.encode(), own.certificate.encode())],
                root_certificates=own.authority.encode(),
                require_client_auth=True,
            ),
        )

    def announce(self) -> None:
        """Prints the address."""
        host = self._where.rpartition(":")[0]
        print(f"{self._scheme}:{host}:{self._port}", flush=True)


def endpoint_of(address: str) -> Endpoint:
    """Where to listen; for a port the credentials are read from standard input. Blocks.

    Raises:
        ValueError: there are no credentials.
    """
    if address.startswith("unix:"):
        return UnixSocket(Path(address.removeprefix("unix:")))
    return TlsPort(address, Credentials.read(sys.stdin.fileno()))
