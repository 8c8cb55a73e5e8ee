"""What a call tells of its caller: credentials, and the address that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, cast
from urllib.parse import unquote

from entrance_server.domain.addresses import LOOPBACK, Network, address_of, is_within
from entrance_server.domain.errors import Unauthenticated
from entrance_server.rpc import hops
from entrance_server.rpc.edge import Context
from entrance_server.service.auth import Credentials

_LOCAL_SOCKET: Final = "unix:"
_HOP_KEYS: Final = frozenset({hops.VIA_KEY, hops.PROOF_KEY})
_READ_KEYS: Final = _HOP_KEYS | hops.CREDENTIAL_KEYS.keys()


class CredentialsReader:
    """Reads credentials out of a call's metadata.

    `caller-address` counts where it comes from a trusted gateway alone, or over a socket that only
    the server's own user can open, or from another server of this installation, which proves that
    by `seal`; elsewhere the peer is the caller.
    """

    def __init__(
        self, trusted_gateways: Sequence[Network] = LOOPBACK, *, seal: hops.Seal | None = None
    ) -> None:
        self._trusted = tuple(trusted_gateways)
        self._seal = seal
        self._is_trusted = lru_cache(maxsize=1_024)(self._trusts)

    def read(self, context: Context) -> Credentials:
        """The credentials of a call.

        Raises:
            Unauthenticated: one of them is there twice.
            PermissionDenied: it says without a proof that another server hands it on.
        """
        sent: dict[str, str] = {}
        for key, value in context.invocation_metadata() or ():
            if key not in _READ_KEYS:
                continue
            if key in sent:
                raise Unauthenticated(f"The metadata {key} is there twice; send it once.")
            sent[key] = cast(str, value)
        via = self._seal.check(sent) if self._seal and not _HOP_KEYS.isdisjoint(sent) else ""
        told = sent.pop(hops.ADDRESS_KEY, None)
        return Credentials(
            **{hops.CREDENTIAL_KEYS[key]: sent[key] for key in sent.keys() - _HOP_KEYS},
            address=self._address(context.peer(), told, is_handed_on=bool(via)),
            via=via,
        )

    def _address(self, peer: str, told: str | None, *, is_handed_on: bool) -> str:
        """Where the caller is; "" where a gateway does not know."""
        own = peer_address(peer)
        if told is None or not (is_handed_on or self._is_trusted(peer)):
            return own
        return told if address_of(told) else ""

    def _trusts(self, peer: str) -> bool:
        return peer.startswith(_LOCAL_SOCKET) or is_within(peer_address(peer), self._trusted)


@lru_cache(maxsize=1_024)  # a peer makes many calls on one connection
def peer_address(peer: str) -> str:
    """The address in a peer's name such as `ipv4:10.0.0.7:50312`, or "" for one that has none.

    The peer at a Unix socket is on this machine.
    """
    scheme, _, rest = peer.partition(":")
    if scheme == "unix":
        return "127.0.0.1"
    if scheme not in ("ipv4", "ipv6"):
        return ""
    host, _, _ = unquote(rest).rpartition(":")
    return host.strip("[]")
