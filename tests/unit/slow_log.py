"""A job log that a test can hold up."""

from __future__ import annotations

import asyncio

from entrance_server.domain.job import Job
from entrance_server.logs import LogStore
from entrance_server.service.job_log import JobLog, Level

MAX_BYTES = 1_000_000  # of a job's log


class SlowLog(JobLog):
    """A job log whose plain lines are written when the test lets them."""

    def __init__(self, logs: LogStore) -> None:
        super().__init__(logs, max_bytes=MAX_BYTES)
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def line(self, job: Job, level: Level, text: str) -> None:
        self.reached.set()
        await self.released.wait()
        await super().line(job, level, text)
