"""Certificates for a test: issued anew, expired, or by somebody whom nobody trusts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from entrance.tls import TlsFiles

OWN_NAMES = ("localhost", "127.0.0.1")


class Certified:
    """The files of one side: a certificate of its own authority, and that authority.

    Made by `authority`, or by an authority of its own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        names: Sequence[str] = OWN_NAMES,
        authority: trustme.CA | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = authority or trustme.CA()
        self.certificate = folder / "own.pem"
        self.key = folder / "own.key"
        self.authorities = folder / "ca.pem"
        self._names = names
        self.renew()

    @property
    def files(self) -> TlsFiles:
        return TlsFiles(self.certificate, self.key, self.authorities)

    def issue(self, *, expired: bool = False) -> trustme.LeafCert:
        """A further certificate, which is written to no file."""
        end = datetime.now(UTC) - timedelta(days=1) if expired else None
        return self.authority.issue_cert(*self._names, not_after=end)

    def renew(self, authority: trustme.CA | None = None, *, expired: bool = False) -> None:
        """Replaces all files, by those of another authority if one is given."""
        self.authority = authority or self.authority
        issued = self.issue(expired=expired)
        self.write_certificate(issued)
        self.write_key(issued)
        self.authorities.write_bytes(self.authority.cert_pem.bytes())

    def write_certificate(self, issued: trustme.LeafCert) -> None:
        self.certificate.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))

    def write_key(self, issued: trustme.LeafCert) -> None:
        self.key.write_bytes(issued.private_key_pem.bytes())
