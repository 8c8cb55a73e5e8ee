"""The runs that go on, and why one is ended before its code ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from entrance_server.domain.job import Job, JobError
from entrance_server.domain.run_policy import RUNNING_TIMEOUT, TimeLimit
from entrance_server.domain.status import JobStatus
from entrance_server.engines.session import EngineSession
from entrance_server.service.live import LiveJob

RAN_TOO_LONG = 40_902
WAITED_TOO_LONG = 40_903


@dataclass(frozen=True, slots=True)
class Stop:
    """An end from outside of the code: the final state, the last line of the log, the error."""

    status: JobStatus
    text: str
    error: JobError | None = None


def killed(by: str) -> Stop:
    """The end by a caller."""
    return Stop(JobStatus.CANCELLED, f"Your job was killed by {by}.")


def timed_out(limit: TimeLimit) -> Stop:
    """The end by a limit of time."""
    ran = limit.label == RUNNING_TIMEOUT
    length = f"{limit.length.total_seconds():g} s"
    what = f"{'ran' if ran else 'waited'} longer than its {limit.label} of {length}"
    code = RAN_TOO_LONG if ran else WAITED_TOO_LONG
    return Stop(JobStatus.TIMEOUT, f"Your job {what} and is ended.", JobError(code, f"it {what}"))


def run_id_of(job: Job) -> str:
    """Names the run of a job's current try for the runner."""
    return f"{job.task_id}-{job.attempt}"


class ActiveRun:
    """A try that goes on: its session, and whether it is being ended from outside."""

    def __init__(self, live: LiveJob) -> None:
        self.live = live
        self.attempt = live.job.attempt
        self.run_id = run_id_of(live.job)
        self.session: EngineSession | None = None
        self.stop: Stop | None = None
        self.result_sizes: Mapping[int, int] | None = None  # bytes by index; None is not yet known

    @property
    def is_over(self) -> bool:
        """Whether the end of this try was shown."""
        return self.live.job.status.is_final or self.live.job.attempt != self.attempt

    @property
    def running_in(self) -> EngineSession | None:
        """The session, once the code runs there."""
        return self.session if self.live.job.status is JobStatus.RUNNING else None


class ActiveRuns:
    """All runs by their job."""

    def __init__(self) -> None:
        self._runs: dict[int, ActiveRun] = {}

    @contextmanager
    def begun(self, live: LiveJob) -> Iterator[ActiveRun]:
        """A run until the end of the block."""
        run = self._runs[live.job.task_id] = ActiveRun(live)
        try:
            yield run
        finally:
            del self._runs[live.job.task_id]

    def of(self, live: LiveJob) -> ActiveRun | None:
        """The run of a job, or None for one that waits or has ended."""
        return self._runs.get(live.job.task_id)
