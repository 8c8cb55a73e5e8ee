"""Which failed tries are followed by another one, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from entrance_server.domain.job import Job, JobError
from entrance_server.domain.run_policy import RunPolicy
from entrance_server.domain.status import JobStatus
from entrance_server.service.retries import ENGINE_LOST, Retries
from tests.unit.specs import spec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOST = JobError(ENGINE_LOST, "the engine was lost")
RETRIES = Retries({ENGINE_LOST}, first_delay=timedelta(seconds=5), most_delay=timedelta(seconds=60))


def follows(error: JobError, *, attempt: int, retries: int) -> bool:
    job = Job(7, spec(), "here:9104", JobStatus.RUNNING, NOW, NOW, attempt=attempt)
    return RETRIES.follow(job, error, RunPolicy(retries=retries))


def test_there_are_as_many_further_tries_as_asked_for() -> None:
    assert [follows(LOST, attempt=attempt, retries=2) for attempt in (1, 2, 3)] == [
        True,
        True,
        False,
    ]


def test_there_is_none_unless_asked_for() -> None:
    assert not follows(LOST, attempt=1, retries=0)


def test_an_error_that_is_not_configured_is_not_tried_again() -> None:
    assert not follows(JobError(40100, "exit status 3"), attempt=1, retries=5)


def test_each_delay_is_twice_the_last_one_up_to_the_most() -> None:
    delays = [RETRIES.delay(attempt).total_seconds() for attempt in range(1, 7)]
    assert delays == [5, 10, 20, 40, 60, 60]


@pytest.mark.parametrize("attempt", [100, 1000, 10**9])
def test_a_late_try_waits_no_longer_than_the_most(attempt: int) -> None:
    assert RETRIES.delay(attempt) == timedelta(seconds=60)
