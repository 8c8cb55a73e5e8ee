"""Addresses of callers, and networks that they may be in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1"),
)


@lru_cache(maxsize=1_024)  # calls come from few addresses, and to read one takes a while
def address_of(text: str) -> Address | None:
    """The address that a text is, or None; an IPv4 one within IPv6 is the IPv4 one."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_of(text: str) -> Network:
    """The network that a text such as `10.0.0.0/8` is, an address being one by itself.

    Raises:
        ValueError: it is none.
    """
    return ipaddress.ip_network(text)


def is_within(text: str, networks: Iterable[Network]) -> bool:
    """Whether a text is an address in one of some networks."""
    address = address_of(text)
    return address is not None and any(address in network for network in networks)
