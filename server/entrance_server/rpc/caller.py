"""Who makes the call that the current task serves."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

from entrance_server.domain.job import Principal
from entrance_server.service.auth import Credentials, Grant

_grant: ContextVar[Grant] = ContextVar("grant")
_credentials: ContextVar[Credentials] = ContextVar("credentials")
_forwards: ContextVar[Mapping[int, str]] = ContextVar("forwards", default=MappingProxyType({}))


def principal() -> Principal:
    """The authenticated caller.

    Raises:
        LookupError: the method is open to callers without credentials.
    """
    return _grant.get().principal


def user() -> str:
    """The caller's name, or "" where there are no credentials."""
    known = grant()
    return known.principal.user if known else ""


def grant() -> Grant | None:
    """What the caller's credentials granted; None where they are missing or not valid."""
    return _grant.get(None)


def credentials() -> Credentials:
    """What the caller sent to identify himself, valid or not, and his address.

    Raises:
        LookupError: the service is open to everybody.
    """
    return _credentials.get()


def sent() -> Credentials | None:
    """The same; None where the service is open to everybody."""
    return _credentials.get(None)


def set_grant(known: Grant) -> None:
    """Names the caller for the rest of the task; each call has a task of its own."""
    _grant.set(known)


def set_credentials(sent: Credentials) -> None:
    """Notes what the caller sent, for the rest of the task."""
    _credentials.set(sent)


def forwards() -> Mapping[int, str]:
    """Jobs for which the call went on to another server, with that server's instance name."""
    return _forwards.get()


def noted_forwards() -> dict[int, str]:
    """Where they are to be noted, from here to the end of the call."""
    noted: dict[int, str] = {}
    _forwards.set(noted)
    return noted
