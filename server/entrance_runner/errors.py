"""Why a run did not succeed: the documented numbers and the exception that carries one."""

from __future__ import annotations

import enum

from entrance.signals import signal_name


class ErrorCode(enum.IntEnum):
    """The numbers of engine errors, 40000 to 49999, as they stand in a job's error."""

    INTERNAL = 40000
    """The runner itself failed; its own log tells more."""
    CANCELLED = 40001
    """The run was interrupted."""
    ENGINE_DIED = 40002
    """The process that ran the code ended, such as by a signal or for want of memory."""
    SESSION_CLOSED = 40003
    """The session was closed under the run, or its runner was told to end."""
    SHELL_EXIT = 40100
    """A script ended with an exit status other than 0."""
    PYTHON_EXCEPTION = 40200
    """Python code raised an exception, or is not valid Python."""
    SQL_ERROR = 40300
    """A statement failed, or is not valid SQL."""


class RunFailed(Exception):
    """The code, or what runs it, failed; `message` is for the person who wrote the code."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def engine_died(status: int | None) -> RunFailed:
    """The failure for a process that ended under a run; `status` as subprocess tells it."""
    return RunFailed(ErrorCode.ENGINE_DIED, f"the engine's process ended: {exit_text(status)}")


def exit_text(status: int | None) -> str:
    """An exit status in words: `exit status 3`, `SIGSEGV`."""
    if status is None:
        return "exit status unknown"
    if status < 0:
        return signal_name(-status)
    if status > 128 and (name := signal_name(status - 128)).startswith("SIG"):
        return f"exit status {status} ({name})"  # as shells tell that a command died by a signal
    return f"exit status {status}"
