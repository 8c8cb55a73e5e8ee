"""The lines that the service itself adds to a job's log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from entrance_server.domain.job import Job
from entrance_server.domain.notes import Note
from entrance_server.domain.sizes import spoken
from entrance_server.logs import LogStore, format_line

Level = Literal["INFO", "WARN", "ERROR"]
END_SEQ = 2**63  # greater than any number of a runner's event: the line that ends a try


def utc_now() -> datetime:
    """The time now, aware."""
    return datetime.now(UTC)


def first_lines(job: Job) -> tuple[bytes, int]:
    """What the log of a job begins with, and how many lines that is.

    All of it is in the store, so that a job need not wait for its log to be accepted.
    """
    # the two spaces are what legacy clients match
    first = Note(
        "INFO",
        f"Your job is accepted,  jobID is {job.exec_id} and taskID is {job.task_id} in "
        f"{job.instance}. Please wait for it to be scheduled.",
    )
    notes = (first, *job.spec.notes)
    lines = [format_line(note.level, note.text, job.create_time) for note in notes]
    return b"".join(data for data, _ in lines), sum(count for _, count in lines)


class JobLog:
    """Writes into job logs: what code printed, and lines of the service with the documented header.

    A log of `max_bytes` takes no more output; the service's own few lines it still takes.
    """

    def __init__(
        self, logs: LogStore, *, max_bytes: int, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._logs = logs
        self._max_bytes = max_bytes
        self._clock = clock

    async def begin(self, job: Job) -> None:
        """Writes the first lines, unless the log has them already."""
        await self._logs.begin(job.task_id)

    async def output(
        self, task_id: int, text: bytes, line_count: int, *, attempt: int, seq: int
    ) -> None:
        """Adds what a run printed, up to an event's number; beyond the limit it is dropped.

        The append that reaches the limit is kept whole and says so, so that the limit is passed by
        one append at most and the log itself tells that it was.
        """
        size = await self._logs.size(task_id)
        if size >= self._max_bytes:
            text, line_count = b"", 0
        elif size + len(text) >= self._max_bytes:
            told = (
                f"The log has {spoken(self._max_bytes)}, as much as one job may have; what the "
                "code prints from here on is not kept."
            )
            line, count = format_line("WARN", told, self._clock())
            text, line_count = text + line, line_count + count
        await self._logs.append(task_id, text, line_count, attempt=attempt, seq=seq)

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
