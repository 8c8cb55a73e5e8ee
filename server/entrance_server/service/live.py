"""The jobs of this server that have not ended, as they are now."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from entrance_server.changes import Changes
from entrance_server.domain.job import Job, ProgressInfo, Resources
from entrance_server.service.job_log import utc_now
from entrance_server.service.views import ProgressView


class LiveJob:
    """A job in memory: its last stored state, and what is only of the moment.

    `progress_changes` counts every change, `job_changes` those of the job itself. Who starts,
    pauses, resumes or ends the job holds `course`, so that the log tells of it in that order.
    """

    def __init__(self, job: Job, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self.job = job
        self.progress_info: Sequence[ProgressInfo] = job.progress_info
        self.resources: Resources | None = None
        self.course = asyncio.Lock()
        self.job_changes = Changes()
        self.progress_changes = Changes()

    def update(self, job: Job) -> None:
        """Takes over what the store answered, which may be older than what another step got.

        A state never goes back: a final one stays.
        """
        if self.job.status.is_final:
            return
        if job.attempt > self.job.attempt:
            self._forget_try()
        progress = job.progress if job.status.is_final else max(job.progress, self.job.progress)
        results = max(job.result_count, self.job.result_count)
        self.job = dataclasses.replace(job, progress=progress, result_count=results)
        self.job_changes.bump()
        self.progress_changes.bump()

    def advance(self, progress: float, progress_info: Sequence[ProgressInfo]) -> None:
        """Takes over a progress report; the whole never goes back."""
        if self.job.status.is_final:
            return
        self.job = dataclasses.replace(self.job, progress=max(progress, self.job.progress))
        self.progress_info = progress_info
        self.progress_changes.bump()

    def measure(self, resources: Resources) -> None:
        """Takes over a measurement of resources."""
        self.resources = resources
        self.progress_changes.bump()

    def _forget_try(self) -> None:
        """Begins the progress anew: another try does all of the work again."""
        self.job = dataclasses.replace(self.job, progress=0.0, result_count=0)
        self.progress_info = ()
        self.resources = None

    async def unchanged_until(self, time: datetime | None, *, since: int) -> bool:
        """Waits for a change of the job, or for a time; True when the time came first.

        Args:
            time: None means never.
            since: A revision of `job_changes`; one after it is a change.
        """
        delay = None if time is None else max((time - self._clock()).total_seconds(), 0.0)
        try:
            async with asyncio.timeout(delay):
                await self.job_changes.beyond(since)
        except TimeoutError:
            return True
        return False

    def view(self) -> ProgressView:
        """The progress now."""
        return ProgressView(self.job, self.job.progress, self.progress_info, self.resources)


class LiveJobs:
    """All live jobs by their number."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._jobs: dict[int, LiveJob] = {}

    def add(self, job: Job) -> LiveJob:
        """Puts a job under watch."""
        live = LiveJob(job, clock=self._clock)
        self._jobs[job.task_id] = live
        return live

    def get(self, task_id: int) -> LiveJob | None:
        """A live job, or None for one that has ended or is not here."""
        return self._jobs.get(task_id)

    def remove(self, task_id: int) -> None:
        """Forgets a job that has ended; followers keep the object they have."""
        self._jobs.pop(task_id, None)

    def __iter__(self) -> Iterator[LiveJob]:
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)
