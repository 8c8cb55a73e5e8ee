"""Errors of the command line, and how every error is told: one clear line and an exit code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from entrance.cli.exits import ExitCode

if TYPE_CHECKING:
    from entrance.cli.invocation import Invocation
    from entrance.client import EntranceError

DEBUG_VARIABLE = "ENTRANCE_DEBUG"


class Problem(Exception):
    """Something that the user can change; the message says what."""

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def report(error: Exception, invocation: Invocation) -> ExitCode:
    """Tells an error on stderr; answers with the exit code."""
    from entrance.client import EntranceError

    output = invocation.output
    if isinstance(error, EntranceError):
        output.error(f"{sentence(error)} {_advice(error, invocation)}", details(error))
        return exit_code(error)
    if isinstance(error, Problem):
        output.error(error.message, {"message": error.message})
        return error.code
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":  # an argument is bytes
        text = error.object.encode(errors="replace").decode()
        message = f"'{text}' is not UTF-8 at character {error.start + 1}; send text in UTF-8"
        output.error(message, {"message": message})
        return ExitCode.USAGE
    if isinstance(error, OSError):
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        output.error(message, {"message": message})
        return ExitCode.FAILED
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    message = f"entrance has a fault: {type(error).__name__}: {error}"
    output.error(f"{message} ({DEBUG_VARIABLE}=1 shows where)", {"message": message})
    return ExitCode.FAILED


def exit_code(error: EntranceError) -> ExitCode:
    """The exit code that an error of the service leads to."""
    from entrance import client

    if isinstance(error, client.InvalidArgument):
        return ExitCode.USAGE
    refused = (
        client.Unavailable,
        client.Unauthenticated,
        client.PermissionDenied,
        client.DeadlineExceeded,
    )
    return ExitCode.REFUSED if isinstance(error, refused) else ExitCode.FAILED


def details(error: EntranceError) -> dict[str, Any]:
    """An error as an object."""
    return {
        "message": error.message,
        "type": type(error).__name__,
        "reason": error.reason or None,
        "errCode": error.err_code,
        "violations": [
            {"field": wrong.field, "description": wrong.description} for wrong in error.violations
        ],
    }


def sentence(error: EntranceError) -> str:
    """An error as text, with the wrong fields that its message does not name."""
    wrong = [
        f"{violation.field}: {violation.description}"
        for violation in error.violations
        if violation.description != error.message
    ]
    return f"{error.message} ({'; '.join(wrong)})" if wrong else error.message


def _advice(error: EntranceError, invocation: Invocation) -> str:
    from entrance import client

    if isinstance(error, client.Unauthenticated) and invocation.access.token is None:
        return (
            "No token was found: set ENTRANCE_TOKEN or --token-file, or ENTRANCE_DATA_DIR to the "
            "data directory of a service on this machine."
        )
    if isinstance(error, client.Unavailable) and not error.answered:
        return (
            "Is it running? `entrance serve` starts it; --target or ENTRANCE_TARGET names another."
        )
    return ""
