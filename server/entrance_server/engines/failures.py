"""Why a session can't go on."""

from __future__ import annotations


class SessionLost(Exception):
    """The runner has ended, or does not answer any more."""


class SessionRefused(Exception):
    """The session does not open, or the runner refused a call; the message says why."""
