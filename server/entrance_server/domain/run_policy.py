"""How a job is run, as its labels say: how long it may wait and run, how often it is tried."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from entrance_server.domain.errors import FieldViolation, InvalidRequest
from entrance_server.domain.job import Job
from entrance_server.domain.status import JobStatus

LABEL_WRONG = 20004

RUNNING_TIMEOUT = "jobRunningTimeout"
QUEUING_TIMEOUT = "jobQueuingTimeout"
RETRIES = "retryNum"
EXECUTE_ONCE = "executeOnce"

TIMEOUT_MOST = 10 * 365 * 24 * 3600  # seconds
RETRIES_MOST = 100
_SHOWN = 80  # characters


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """How a job is run. A time limit of None is none."""

    running_timeout: timedelta | None = None
    """For each try, without the time for which it is paused."""
    queuing_timeout: timedelta | None = None
    """For each wait for a try to begin, without the time for which it is paused."""
    retries: int = 0
    """Tries beyond the first."""
    execute_once: bool = False
    """Whether it has a session of its own, which ends with it."""

    @property
    def tries(self) -> int:
        """How often it is tried at most."""
        return self.retries + 1


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Until when a job may stay in its state, and the label that says so."""

    label: str
    length: timedelta
    end: datetime


class RunPolicies:
    """The policies of jobs: what their labels say, and the installation's default for the rest."""

    def __init__(self, default: RunPolicy) -> None:
        self._default = default

    def of(self, labels: Mapping[str, str]) -> RunPolicy:
        """The policy of a job with these labels.

        Raises:
            InvalidRequest: a label has a value that can't be read.
        """
        said = {
            field: read(label, labels[label])
            for label, (field, read) in _LABELS.items()
            if label in labels
        }
        return dataclasses.replace(self._default, **said) if said else self._default


def time_limit(job: Job, policy: RunPolicy) -> TimeLimit | None:
    """The limit that holds for a job as it is now; none for one that is paused or has ended."""
    if job.paused or job.status.is_final:
        return None
    if job.status is JobStatus.RUNNING:
        return _limit(RUNNING_TIMEOUT, policy.running_timeout, job.start_time, job.paused_for)
    begin = job.retry_time or job.create_time
    return _limit(QUEUING_TIMEOUT, policy.queuing_timeout, begin, job.paused_for)


def _limit(
    label: str, length: timedelta | None, begin: datetime | None, paused_for: timedelta
) -> TimeLimit | None:
    if length is None or begin is None:
        return None
    return TimeLimit(label, length, begin + length + paused_for)


def _timeout(label: str, text: str) -> timedelta | None:
    seconds = _number(label, text, TIMEOUT_MOST, "a whole number of seconds, 0 for no limit")
    return timedelta(seconds=seconds) if seconds else None


def _retries(label: str, text: str) -> int:
    return _number(label, text, RETRIES_MOST, "a whole number of tries beyond the first")


def _flag(label: str, text: str) -> bool:
    known = {"": True, "true": True, "false": False}  # the label's name alone says it too
    if text.lower() not in known:
        raise _wrong(label, text, "must be true or false")
    return known[text.lower()]


def _number(label: str, text: str, most: int, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > most:
        raise _wrong(label, text, f"must be {what}, at most {most}")
    return int(text)


def _wrong(label: str, text: str, wanted: str) -> InvalidRequest:
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return InvalidRequest(
        f"The label {label} {wanted}; it is '{shown}'.",
        reason="WRONG_LABEL",
        err_code=LABEL_WRONG,
        violations=[FieldViolation(f"labels.{label}", wanted)],
    )


_LABELS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    RUNNING_TIMEOUT: ("running_timeout", _timeout),
    QUEUING_TIMEOUT: ("queuing_timeout", _timeout),
    RETRIES: ("retries", _retries),
    EXECUTE_ONCE: ("execute_once", _flag),
}
