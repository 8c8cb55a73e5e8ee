"""Who makes the call that the current task serves."""

from __future__ import annotations

from contextvars import ContextVar

from entrance_server.domain.job import Principal

_principal: ContextVar[Principal] = ContextVar("principal")


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


def set_principal(known: Principal) -> None:
    """Names the caller for the rest of the task; each call has a task of its own."""
    _principal.set(known)
