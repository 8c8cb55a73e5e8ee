"""Targets that name several servers of an installation, as gRPC takes them."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Mapping, Sequence
from typing import Final

# Where there is another server, it is worth to know soon that one is gone.
ATTENTIVE: Final[Mapping[str, int]] = {
    "grpc.keepalive_time_ms": 15_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.http2.max_pings_without_data": 0,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 2_000,  # also how long an attempt to connect may take
    "grpc.max_reconnect_backoff_ms": 1_000,
}


class TargetError(ValueError):
    """A list of servers can't be used; the message says what to change."""


def split(target: str) -> Sequence[str]:
    """The servers of a target such as `a:9104,b:9104`; one of a scheme is left as it is."""
    if _has_scheme(target):
        return (target,)
    return tuple(part for part in (one.strip() for one in target.split(",")) if part)


def for_channel(target: str) -> str:
    """What a channel is made with. Names in a list are looked up, which blocks.

    One that is not known now is left out, so that a client starts without a server that is gone.

    Raises:
        TargetError: a part of a list has no port, or none of its names is known.
    """
    parts = split(target)
    if len(parts) < 2:
        return target
    found = [addresses for part in parts if (addresses := _addresses(part))]
    if not found:
        raise TargetError(f"none of the hosts in {target} is known; name others")
    for family, scheme in ((socket.AF_INET, "ipv4"), (socket.AF_INET6, "ipv6")):
        if all(family in addresses for addresses in found):
            return f"{scheme}:{','.join(addresses[family] for addresses in found)}"
    raise TargetError(f"the hosts in {target} have no kind of address in common: IPv4 or IPv6")


def options(target: str) -> Mapping[str, str | int]:
    """What a channel to several servers is told in addition; nothing where there is one.

    It is connected to any of them, and leaves one that is gone for another. By TLS each must prove
    to be the first one's host.
    """
    parts = split(target)
    if len(parts) < 2:
        return {}
    policy = {"pick_first": {"shuffleAddressList": True}}
    return {
        **ATTENTIVE,
        "grpc.service_config": json.dumps({"loadBalancingConfig": [policy]}),
        "grpc.default_authority": parts[0],
    }


def _has_scheme(target: str) -> bool:
    return target.startswith(("unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:", "xds:"))


def _addresses(part: str) -> dict[socket.AddressFamily, str]:
    """An address of each kind that a server has; none where its name is not known."""
    host, colon, port = part.rpartition(":")
    if not colon or not port.isdecimal():
        raise TargetError(f"{part} has no port; write each server as host:port")
    host = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, OverflowError):
        return {}
    return {family: _written(str(address[0]), port) for family, *_, address in reversed(found)}


def _written(host: str, port: str) -> str:
    is_ipv6 = ipaddress.ip_address(host.partition("%")[0]).version == 6
    return f"[{host}]:{port}" if is_ipv6 else f"{host}:{port}"
