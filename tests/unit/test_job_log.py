"""What the service adds to a job's log, and how much of a job's output it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrance_server.logs import LogStore
from entrance_server.service.job_log import JobLog
from tests.unit import rpc_jobs

LIMIT = 100
JOB = dataclasses.replace(rpc_jobs.JOB, attempt=1)
TASK = JOB.task_id


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    async with LogStore(tmp_path) as opened:
        yield opened


@pytest.fixture
def job_log(logs: LogStore) -> JobLog:
    return JobLog(logs, max_bytes=LIMIT)


async def lines(logs: LogStore) -> list[str]:
    part = await logs.read(TASK, 1, max_lines=1000, max_bytes=10**6)
    return part.text.decode().splitlines()


async def prints(job_log: JobLog, text: str, *, seq: int) -> None:
    await job_log.output(TASK, text.encode(), text.count("\n"), attempt=1, seq=seq)


class TestOutput:
    async def test_is_kept_up_to_the_limit(self, job_log: JobLog, logs: LogStore) -> None:
        await prints(job_log, "a\n", seq=1)
        await prints(job_log, "b\nc\n", seq=2)
        assert await lines(logs) == ["a", "b", "c"]

    async def test_that_reaches_the_limit_is_kept_whole_and_a_line_says_so(
        self, job_log: JobLog, logs: LogStore
    ) -> None:
        await prints(job_log, "first\n", seq=1)
        await prints(job_log, "x" * LIMIT + "\n", seq=2)
        first, last, warning = await lines(logs)
        assert (first, last) == ("first", "x" * LIMIT)
        assert "WARN The log has 100 bytes, as much as one job may have" in warning

    async def test_beyond_the_limit_is_dropped_and_counts_as_taken(
        self, job_log: JobLog, logs: LogStore
    ) -> None:
        await prints(job_log, "x" * LIMIT + "\n", seq=1)
        for seq in (2, 3):
            await prints(job_log, "more\n", seq=seq)
        assert len(await lines(logs)) == 2
        assert await logs.mark(TASK) == (1, 3)

    async def test_that_a_runner_sends_again_is_not_told_of_twice(
        self, job_log: JobLog, logs: LogStore
    ) -> None:
        for _ in range(2):
            await prints(job_log, "x" * LIMIT + "\n", seq=1)
        assert len(await lines(logs)) == 2

    async def test_leaves_room_for_the_lines_of_the_service(
        self, job_log: JobLog, logs: LogStore
    ) -> None:
        await prints(job_log, "x" * LIMIT + "\n", seq=1)
        await job_log.end_of_try(JOB, "INFO", "Your job has ended: Succeed.")
        assert (await lines(logs))[-1].endswith("INFO Your job has ended: Succeed.")

    async def test_of_a_restarted_service_has_the_same_limit(
        self, job_log: JobLog, logs: LogStore, tmp_path: Path
    ) -> None:
        await prints(job_log, "x" * LIMIT + "\n", seq=1)
        await logs.close(TASK)
        async with LogStore(tmp_path) as reopened:
            await prints(JobLog(reopened, max_bytes=LIMIT), "more\n", seq=2)
            assert len(await lines(reopened)) == 2
