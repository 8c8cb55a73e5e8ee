"""The two names of a job: taskID, a number, and execID, which also names the job's instance.

An execID is `exec_id` + LLL + MMM + application + instances + shortId, where LLL and MMM are the
zero-padded lengths of the application's name and of the instances joined by `_`, and shortId is
`creator_user_counter`. The counter here is the taskID, so that either name leads to the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from entrance_server.domain import errors

EXEC_ID_PREFIX = "exec_id"
APPLICATION = "entrance"
TASK_ID_MAX = 2**63 - 1
JOBS_SIDE_BY_SIDE = 1000  # directories within one
MAX_ID_LENGTH = 1024  # characters
MAX_INSTANCE_LENGTH = 255  # characters; three digits hold it, and an id with it stays short enough

_DIGITS = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class ExecId:
    """The parts of an execID."""

    instance: str
    creator: str
    user: str
    task_id: int

    def __post_init__(self) -> None:
        if not 0 < len(self.instance) <= MAX_INSTANCE_LENGTH:
            raise ValueError(
                f"an instance name has 1 to {MAX_INSTANCE_LENGTH} characters, not '{self.instance}'"
            )

    def __str__(self) -> str:
        short = f"{self.creator}_{self.user}_{self.task_id}"
        lengths = f"{len(APPLICATION):03d}{len(self.instance):03d}"
        return f"{EXEC_ID_PREFIX}{lengths}{APPLICATION}{self.instance}{short}"


@lru_cache(maxsize=4_096)  # whoever waits for a job asks for it again and again
def exec_id_of(instance: str, creator: str, user: str, task_id: int) -> str:
    """The execID of these parts."""
    return str(ExecId(instance, creator, user, task_id))


def directory_of(task_id: int) -> PurePath:
    """Where a job's files are under a root; no directory gets more than a thousand jobs."""
    return PurePath(str(task_id // JOBS_SIDE_BY_SIDE), str(task_id))


def malformed(text: str) -> errors.InvalidRequest:
    """The error for an id that is neither an execID nor a taskID."""
    shown = text if len(text) <= 80 else text[:80] + "…"
    return errors.InvalidRequest(
        f"'{shown}' is neither an execID nor a taskID; send an id as submit answered it.",
        reason="MALFORMED_ID",
        violations=[errors.FieldViolation("id", "must be an execID or a positive 64-bit taskID")],
    )


def task_id_of(text: str) -> int:
    """The taskID in an id of either form.

    Raises:
        InvalidRequest: the text is of neither form.
    """
    if len(text) > MAX_ID_LENGTH:
        raise malformed(text)
    if text.startswith(EXEC_ID_PREFIX):
        return _parse_exec_id(text)
    return _parse_task_id(text, text)


def _parse_task_id(digits: str, whole: str) -> int:
    if not _DIGITS.fullmatch(digits):
        raise malformed(whole)
    value = int(digits)
    if not 0 < value <= TASK_ID_MAX:
        raise malformed(whole)
    return value


def _parse_exec_id(text: str) -> int:
    lengths = text[len(EXEC_ID_PREFIX) : len(EXEC_ID_PREFIX) + 6]
    if not re.fullmatch(r"[0-9]{6}", lengths):
        raise malformed(text)
    application, instances = int(lengths[:3]), int(lengths[3:])
    rest = text[len(EXEC_ID_PREFIX) + 6 :]
    if application == 0 or instances == 0 or len(rest) <= application + instances:
        raise malformed(text)
    parts = rest[application + instances :].rsplit("_", 1)
    if len(parts) != 2 or "_" not in parts[0] or parts[1].startswith("0"):
        raise malformed(text)
    return _parse_task_id(parts[1], text)
