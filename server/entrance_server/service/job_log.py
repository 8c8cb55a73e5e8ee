"""The lines that the service itself adds to a job's log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from entrance_server.domain.job import Job
from entrance_server.logs import LogStore, format_line

Level = Literal["INFO", "WARN", "ERROR"]
END_SEQ = 2**63  # greater than any number of a runner's event: the line that ends a try


def utc_now() -> datetime:
    """The time now, aware."""
    return datetime.now(UTC)


class JobLog:
    """Writes lines with the documented header into job logs."""

    def __init__(self, logs: LogStore, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._logs = logs
        self._clock = clock

    async def accepted(self, job: Job) -> None:
        """The first line of every log; written once, however often this is called."""
        if await self._logs.next_line(job.task_id) == 1:
            # the two spaces are what legacy clients match
            await self.line(
                job,
                "INFO",
                f"Your job is accepted,  jobID is {job.exec_id} and taskID is {job.task_id} in "
                f"{job.instance}. Please wait for it to be scheduled.",
            )

    async def line(self, job: Job, level: Level, text: str) -> None:
        """Adds a line."""
        await self._append(job, level, text, seq=0)

    async def end_of_try(self, job: Job, level: Level, text: str, *, seq: int = END_SEQ) -> None:
        """Adds the line that ends a try, once: the same try's second one is dropped."""
        await self._append(job, level, text, seq=seq)

    async def _append(self, job: Job, level: Level, text: str, *, seq: int) -> None:
        data, count = format_line(level, text, self._clock())
        attempt = job.attempt if seq else 0
        await self._logs.append(job.task_id, data, count, attempt=attempt, seq=seq)
