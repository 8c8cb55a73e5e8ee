"""Calls that one server of an installation hands on to another: how they are marked and proven."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, TypeAlias

from entrance_server.domain.errors import PermissionDenied
from entrance_server.service.auth import Credentials

Metadata: TypeAlias = tuple[tuple[str, str], ...]

ADDRESS_KEY: Final = "caller-address"
VIA_KEY: Final = "via-server"
PROOF_KEY: Final = "via-proof"

# The metadata of each field of Credentials that a caller sends.
CREDENTIAL_KEYS: Final[Mapping[str, str]] = {
    "authorization": "authorization",
    "token-code": "token_code",
    "token-user": "token_user",
    "session-ticket": "session_ticket",
    ADDRESS_KEY: "address",
}


class Seal:
    """What proves to a server that another one of its installation sent a call, by a shared key.

    The key itself is never sent. The proof holds for one caller's address alone.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def metadata(self, credentials: Credentials, *, via: str) -> Metadata:
        """The metadata of a caller's call that the server `via` hands on."""
        sent = ((key, getattr(credentials, field)) for key, field in CREDENTIAL_KEYS.items())
        return (
            *((key, value) for key, value in sent if value or key == ADDRESS_KEY),
            (VIA_KEY, via),
            (PROOF_KEY, self._proof(via, credentials.address)),
        )

    def check(self, metadata: Mapping[str, str]) -> str:
        """The server that handed a call on; "" where none did.

        Raises:
            PermissionDenied: one says so without a proof.
        """
        via = metadata.get(VIA_KEY, "")
        wanted = self._proof(via, metadata.get(ADDRESS_KEY, ""))
        if via and not hmac.compare_digest(wanted, metadata.get(PROOF_KEY, "")):
            raise PermissionDenied(
                "The call says that another server hands it on, and that one has another "
                "cluster.key; let all servers of a database have the same shared_dir.",
                reason="WRONG_CLUSTER",
            )
        return via

    def _proof(self, via: str, address: str) -> str:
        told = f"{via}\n{address}".encode()
        return hmac.new(self._key, told, hashlib.sha256).hexdigest()
