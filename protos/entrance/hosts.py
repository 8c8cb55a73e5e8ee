"""Which hosts and gRPC targets are this machine itself."""

from __future__ import annotations

import ipaddress

from entrance import targets


def is_loopback(host: str) -> bool:
    """Whether a host to listen on, or to connect to, can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, which may mean any address


def is_local(target: str) -> bool:
    """Whether a gRPC target such as `127.0.0.1:9104` or `unix:/path` is on this machine.

    One of several servers, `a:9104,b:9104`, is when all of them are.
    """
    if target.startswith("unix:"):
        return True
    return all(_is_local(part) for part in targets.split(target))


def _is_local(target: str) -> bool:
    host, colon, _ = target.rpartition(":")
    return is_loopback((host if colon else target).removeprefix("[").removesuffix("]"))
