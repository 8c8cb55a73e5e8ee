"""Which failed tries are followed by another one, and after how long. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from entrance_server.domain.job import Job, JobError
from entrance_server.domain.run_policy import RETRIES_MOST, RunPolicy

ENGINE_DIED = 40_002  # the process that ran the code ended, as the runner tells it
ENGINE_LOST = 40_900  # the runner, or its engine with it, went away
ENGINE_REFUSED = 40_901  # the engine did not start, or refused the run


@dataclass(frozen=True, slots=True)
class Retries:
    """Errors after which there may be another try, and delays of which each is twice the last."""

    error_codes: Collection[int]
    first_delay: timedelta
    most_delay: timedelta

    def follow(self, job: Job, error: JobError, policy: RunPolicy) -> bool:
        """Whether a try that failed by an error is followed by another one."""
        return job.attempt < policy.tries and error.code in self.error_codes

    def delay(self, attempt: int) -> timedelta:
        """How long to wait after a failed try, of which the first is 1."""
        seconds = self.first_delay.total_seconds() * 2.0 ** min(attempt - 1, RETRIES_MOST)
        return timedelta(seconds=min(seconds, self.most_delay.total_seconds()))
