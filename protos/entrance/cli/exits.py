"""What the exit codes mean."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """How a command ended, or the job that it followed."""

    SUCCEED = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    TIMEOUT = 4
    REFUSED = 5
    DETACHED = 130  # by Ctrl-C
    PIPE_CLOSED = 141


HELP = (
    "Exit codes, of a command or of the job that it followed: 0 succeeded; 1 failed; 2 wrong usage "
    "or request; 3 cancelled; 4 timed out; 5 the service can't be reached or refused the caller; "
    "130 left by Ctrl-C, the job goes on."
)
