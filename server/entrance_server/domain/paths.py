"""The names of what jobs leave behind, such as `entrance:///7/log`, that callers send as `path`.

A name is read into a job's number and, for a result set, its index. No part of it is ever used as a
path of a file system.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from entrance_server.domain import errors, ids

MAX_LENGTH = 100  # characters
MAX_INDEX = 2**31 - 1

EMPTY = 80004
DENIED = 80010

_ROOT = "entrance:///"
_NUMBER = "0|[1-9][0-9]*"
_NAME = re.compile(
    rf"{_ROOT}(?P<task_id>{_NUMBER})/(?:(?P<log>log)|results(?:/_(?P<index>{_NUMBER})\.dolphin)?)"
)


@dataclass(frozen=True, slots=True)
class LogPath:
    """A job's log."""

    task_id: int

    def __str__(self) -> str:
        return f"{_ROOT}{self.task_id}/log"


@dataclass(frozen=True, slots=True)
class ResultsPath:
    """The place of a job's result sets."""

    task_id: int

    @property
    def name(self) -> str:
        """Its last name."""
        return "results"

    def __str__(self) -> str:
        return f"{_ROOT}{self.task_id}/{self.name}"


@dataclass(frozen=True, slots=True)
class ResultSetPath:
    """One result set of a job."""

    task_id: int
    index: int

    @property
    def name(self) -> str:
        """Its last name."""
        return f"_{self.index}.dolphin"

    @property
    def parent(self) -> ResultsPath:
        """The place that holds it."""
        return ResultsPath(self.task_id)

    def __str__(self) -> str:
        return f"{self.parent}/{self.name}"


JobPath: TypeAlias = LogPath | ResultsPath | ResultSetPath


def parse(text: str) -> JobPath:
    """What a path names. There is one way to write each name, and every other text is refused.

    Raises:
        InvalidRequest: the path is empty.
        PermissionDenied: it is none of the names.
    """
    if not text.strip():
        raise errors.InvalidRequest(
            "The path is empty; send a path as the job's history told it.",
            reason="PATH_EMPTY",
            err_code=EMPTY,
            violations=[errors.FieldViolation("path", "must not be empty")],
        )
    name = _NAME.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if name is None:
        raise _refused(text)
    task_id, index = int(name["task_id"]), int(name["index"] or 0)
    if not 0 < task_id <= ids.TASK_ID_MAX or index > MAX_INDEX:
        raise _refused(text)
    if name["log"]:
        return LogPath(task_id)
    return ResultsPath(task_id) if name["index"] is None else ResultSetPath(task_id, index)


def _refused(text: str) -> errors.PermissionDenied:
    shown = text if len(text) <= MAX_LENGTH else text[:MAX_LENGTH] + "…"
    return errors.PermissionDenied(
        f"{shown!r} is no path that may be opened; send logPath or resultLocation of a job, or a "
        "path that getDirFileTrees told.",
        reason="PATH_DENIED",
        err_code=DENIED,
        violations=[errors.FieldViolation("path", "must be the name of a job's log or results")],
    )
