"""TLS by PEM files: what they hold, whether it fits together, and what is new after a change."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import grpc


class TlsError(Exception):
    """A certificate, a key or a list of authorities can't be used; the message says which."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where one side has what it needs for TLS.

    Attributes:
        certificate: Its own certificate, followed by those of the authorities in between.
        key: The key of that certificate, not encrypted.
        authorities: The certificates of those who vouch for the other side. Unset: for a server,
            that it asks its callers for no certificate; for a client, those of the system.

    Raises:
        TlsError: there is a certificate without a key, or a key without a certificate.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            alone, missing = (
                ("key", "certificate") if self.certificate is None else ("certificate", "key")
            )
            raise TlsError(f"there is a {alone} without its {missing}; name both files")

    def read(self) -> TlsContent:
        """What the files hold. Blocks.

        Raises:
            TlsError: one can't be read, or they do not fit together.
        """
        self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        return TlsContent(
            certificate=_content(self.certificate),
            key=_content(self.key),
            authorities=_content(self.authorities),
        )

    def load_into(self, context: ssl.SSLContext) -> None:
        """Lets a context use the files from its next handshake on. Blocks.

        Raises:
            TlsError: one can't be read, or they do not fit together.
        """
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
            except OSError as error:
                raise TlsError(
                    f"the certificate {self.certificate} with the key {self.key} can't be used: "
                    f"{_reason(error)}"
                ) from None
        if self.authorities is not None:
            try:
                context.load_verify_locations(self.authorities)
            except OSError as error:
                raise TlsError(
                    f"the authorities in {self.authorities} can't be used: {_reason(error)}"
                ) from None


@dataclass(frozen=True, slots=True)
class TlsContent:
    """What the files of one side hold."""

    certificate: bytes | None = None
    key: bytes | None = None
    authorities: bytes | None = None

    @property
    def own(self) -> tuple[bytes, bytes]:
        """The key and the certificate of a side that has them.

        Raises:
            ValueError: it has none.
        """
        if self.key is None or self.certificate is None:
            raise ValueError("there is no certificate")
        return self.key, self.certificate

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """What a client connects with."""
        return grpc.ssl_channel_credentials(self.authorities, self.key, self.certificate)


class TlsSource:
    """The content of files, which is read again when they change.

    Raises:
        TlsError: it can't be used as it is now.
    """

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        self._stamps = _stamps(files)
        self.content = files.read()

    def renewed(self) -> TlsContent | None:
        """The new content if there is one since the last call. Blocks.

        Raises:
            TlsError: the files changed, and can't be used as they are now. The content stays as it
                was, and this is told once for each change, since a certificate and its key are
                seldom replaced at the same moment.
        """
        stamps = _stamps(self.files)
        if stamps == self._stamps:
            return None
        self._stamps = stamps
        content = self.files.read()
        if content == self.content:
            return None
        self.content = content
        return content


def _stamps(files: TlsFiles) -> list[tuple[int, int, int] | None]:
    return [_stamp(path) for path in (files.certificate, files.key, files.authorities)]


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    """Differs once a file was replaced or written again."""
    try:
        found = path and path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found else None


def _content(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise TlsError(f"{path} can't be read: {_reason(error)}") from None


def _no_password() -> NoReturn:
    """OpenSSL would ask for it at the terminal."""
    raise TlsError("the key is encrypted; name a file with one that is not")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        reasons = {
            "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
            "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it",
        }
        return reasons.get(error.reason, "it holds no such thing in PEM")
    return error.strerror or str(error)
