"""Who makes the call that the current task serves."""

from __future__ import annotations

from contextvars import ContextVar

from entrance_server.domain.job import Principal
from entrance_server.service.auth import Credentials

_principal: ContextVar[Principal] = ContextVar("principal")
_credentials: ContextVar[Credentials] = ContextVar("credentials")


def principal() -> Principal:
    """The authenticated caller.

    Raises:
        LookupError: the method is open to callers without credentials.
    """
    return _principal.get()


def user() -> str:
    """The caller's name, or "" where there are no credentials."""
    known = _principal.get(None)
    return known.user if known else ""


def credentials() -> Credentials:
    """What the caller sent to identify himself, valid or not, and his address.

    Raises:
        LookupError: the service is open to everybody.
    """
    return _credentials.get()


def set_principal(known: Principal) -> None:
    """Names the caller for the rest of the task; each call has a task of its own."""
    _principal.set(known)


def set_credentials(sent: Credentials) -> None:
    """Notes what the caller sent, for the rest of the task."""
    _credentials.set(sent)
