"""Jobs for tests: waited for by what they say, and the same small work for each engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from entrance.client import JobHandle, JobStatus, LogLine
from tests.support.rest import answer_of
from tests.support.service import Caller
from tests.support.waiting import PATIENCE, until

MANY_LINES = 10_000


def log_lines(job: JobHandle, from_line: int = 1) -> list[LogLine]:
    """Every line that is in a job's log now."""
    lines: list[LogLine] = []
    while page := job.log(from_line, MANY_LINES).lines:
        lines += page
        from_line = page[-1].number + 1
    return lines


def texts(job: JobHandle) -> list[str]:
    """The text of every line that is in a job's log now."""
    return [line.text for line in log_lines(job)]


def printed(job: JobHandle) -> list[str]:
    """What the code itself printed, without the lines that the service adds."""
    return [text for text in texts(job) if not is_ours(text)]


def is_ours(text: str) -> bool:
    """Whether the service wrote a line."""
    return (
        text[:4].isdigit() and text[10:11] == " " and text[24:].startswith(("INFO", "WARN", "ERR"))
    )


def said(job: JobHandle, text: str) -> None:
    """Waits until a job has printed a line."""
    until(lambda: text in texts(job) or job.status().is_final, f"job {job.task_id} prints {text!r}")
    assert text in texts(job)


def became(job: JobHandle, *statuses: JobStatus) -> JobStatus:
    """Waits until a job is in one of some states."""
    until(lambda: job.status() in statuses, f"job {job.task_id} becomes {statuses}")
    return job.status()


def ended(job: JobHandle, status: JobStatus) -> None:
    """Waits for the end of a job, which must be the given one."""
    assert job.wait(PATIENCE).status is status, "\n".join(texts(job))


def reason_of_failure(caller: Caller, job: JobHandle) -> str:
    """Waits until a job has failed; why it did, which both protocols tell alike."""
    ended(job, JobStatus.FAILED)
    error = job.get().error
    assert error is not None
    told = caller.rest.http.get(f"/api/rest_j/v1/jobhistory/{job.task_id}/get")
    task = answer_of(told).data["task"]
    assert (task["errCode"], task["errDesc"]) == (error.code, error.message)
    return error.message


def new_creator() -> str:
    """A creator that no other test has, and so a group, its limits and its sessions."""
    return f"test{secrets.token_hex(4)}"


@contextmanager
def busy_group(caller: Caller, creator: str) -> Iterator[list[JobHandle]]:
    """A group that runs all it may, so that further jobs of it wait until the block ends."""
    jobs = [
        caller.client.submit("echo started; sleep 1000", engine="shell", creator=creator)
        for _ in range(2)
    ]
    for job in jobs:
        said(job, "started")
    try:
        yield jobs
    finally:
        caller.client.kill_jobs(job.task_id for job in jobs if not job.status().is_final)
