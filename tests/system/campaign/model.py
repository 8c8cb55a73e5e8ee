"""What may be true: the order of states, the words for answers, and what a fault excuses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.system.campaign.history import (
    Call,
    Fault,
    Final,
    FinalLog,
    Followed,
    History,
    Lines,
    Plan,
    Rows,
    Seen,
)

FINAL_STATES = frozenset({"Succeed", "Failed", "Cancelled", "Timeout"})
RANK = {"Inited": 0, "Scheduled": 1, "WaitForRetry": 1, "Running": 2} | dict.fromkeys(
    FINAL_STATES, 3
)

OK = "OK"
WRONG_STATE = "WRONG_STATE"  # the job has ended already
UNAVAILABLE = "UNAVAILABLE"  # also 503, and a connection that broke
DEADLINE = "DEADLINE"  # also 504, and a client that did not wait longer
EXHAUSTED = "EXHAUSTED"  # also 429
ABANDONED = "ABANDONED"  # the client itself went away
RETRYABLE = frozenset({UNAVAILABLE, DEADLINE, EXHAUSTED})
ONLY_BY_FAULT = frozenset({UNAVAILABLE, DEADLINE})
CONTROLS = frozenset({"kill", "killJobs", "pause", "resume"})

AFTERMATH = 20.0  # seconds after a fault in which its consequences may still show
ENDS_RUNS = frozenset({"kill runner", "kill engine", "kill everything"})
EXCUSES_NOTHING = frozenset({"set clock"})
FILLS_DISK = frozenset({"disk full", "read-only directory"})
STORAGE_WORDS = ("space", "ead-only", "ENOSPC", "EROFS", "Errno 28", "Errno 30")


@dataclass(slots=True)
class JobHistory:
    """All that is known about one job."""

    task_id: int
    plan: Plan | None = None
    final: Final | None = None
    log: Sequence[str] = ()
    calls: list[Call] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    lines: list[Lines] = field(default_factory=list)
    followed: list[Followed] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)

    def tried(self, *ops: str) -> list[Call]:
        """The calls of some operations, whatever came of them."""
        return [call for call in self.calls if call.op in ops]

    def acknowledged(self, *ops: str) -> list[Call]:
        """The calls of some operations that were answered well."""
        return [call for call in self.tried(*ops) if call.code == OK]

    @property
    def printed(self) -> list[str]:
        """The lines of the final log that the job's own code printed."""
        return [text for text in self.log if self.plan and text.startswith(self.plan.token + " ")]


def jobs_of(history: History) -> dict[int, JobHistory]:
    """The records by job."""
    jobs: dict[int, JobHistory] = {}
    plans = {plan.token: plan for plan in history.of(Plan)}

    def job(task_id: int) -> JobHistory:
        return jobs.setdefault(task_id, JobHistory(task_id))

    for final in history.of(Final):
        job(final.task_id).final = final
        job(final.task_id).plan = plans.get(final.token)
    for log in history.of(FinalLog):
        job(log.task_id).log = log.texts
    for call in history.of(Call):
        if call.task_id:
            job(call.task_id).calls.append(call)
    for seen in history.of(Seen):
        job(seen.task_id).seen.append(seen)
    for lines in history.of(Lines):
        job(lines.task_id).lines.append(lines)
    for followed in history.of(Followed):
        job(followed.task_id).followed.append(followed)
    for rows in history.of(Rows):
        job(rows.task_id).rows.append(rows)
    return jobs


@dataclass(slots=True)
class Faults:
    """The faults of a campaign, asked for what they excuse."""

    all: Sequence[Fault]

    def during(self, start: float, end: float) -> bool:
        """Whether a call in that time may have suffered from a fault."""
        return any(
            one.start <= end and start <= one.end + AFTERMATH
            for one in self.all
            if one.kind not in EXCUSES_NOTHING
        )

    def excuse(self, final: Final) -> bool:
        """Whether a fault explains that a job failed, or did not do all of its work."""
        return any(self._explains(one, final) for one in self.all)

    def _explains(self, fault: Fault, final: Final) -> bool:
        within = fault.start <= final.ended and final.created <= fault.end + AFTERMATH
        if not within:
            return False
        if fault.kind in ENDS_RUNS:
            # a job that was never started has no session to compare
            return final.session_id in fault.sessions or not final.session_id
        if fault.kind in FILLS_DISK:
            return any(word in final.error for word in STORAGE_WORDS)
        return False


def by_token(history: History) -> dict[str, set[int]]:
    """The jobs that stood for each token at the end."""
    found: dict[str, set[int]] = defaultdict(set)
    for final in history.of(Final):
        found[final.token].add(final.task_id)
    return found
