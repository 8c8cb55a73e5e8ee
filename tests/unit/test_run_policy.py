"""How the labels of a job say that it is run, and which limit of time holds for it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from entrance_server.domain import errors
from entrance_server.domain.job import Job
from entrance_server.domain.run_policy import RunPolicies, RunPolicy, TimeLimit, time_limit
from entrance_server.domain.status import FINAL, JobStatus
from tests.unit.specs import spec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOTHING = RunPolicy()
BOTH = RunPolicy(running_timeout=HOUR, queuing_timeout=MINUTE)


def policy(default: RunPolicy = NOTHING, /, **labels: str) -> RunPolicy:
    return RunPolicies(default).of(labels)


def refusal(label: str, text: str) -> errors.InvalidRequest:
    with pytest.raises(errors.InvalidRequest) as caught:
        policy(**{label: text})
    return caught.value


def job(status: JobStatus, **changes: Any) -> Job:
    made = Job(7, spec(), "here:9104", status, create_time=NOON, update_time=NOON)
    return dataclasses.replace(made, **changes)


def test_without_labels_the_installation_decides() -> None:
    default = RunPolicy(running_timeout=HOUR, retries=2)
    assert policy() == RunPolicy()
    assert policy(default, route="north") == default


def test_a_label_wins_over_the_installation() -> None:
    default = RunPolicy(running_timeout=HOUR, queuing_timeout=HOUR, retries=2)
    said = policy(default, jobRunningTimeout="60", jobQueuingTimeout="0", retryNum="0")
    assert said == RunPolicy(running_timeout=MINUTE, queuing_timeout=None, retries=0)


@pytest.mark.parametrize(("text", "once"), [("", True), ("true", True), ("false", False)])
def test_a_session_of_its_own_is_asked_for_by_the_label_alone_or_by_its_value(
    text: str, once: bool
) -> None:
    assert policy(executeOnce=text).execute_once is once


@pytest.mark.parametrize("label", ["jobRunningTimeout", "jobQueuingTimeout", "retryNum"])
@pytest.mark.parametrize("text", ["", "-1", "1.5", "ten", "1e3", "²", "9" * 30, " 1", "true"])
def test_what_is_no_number_in_bounds_is_refused_by_the_name_of_its_label(
    label: str, text: str
) -> None:
    error = refusal(label, text)
    assert error.err_code == 20004
    assert [violation.field for violation in error.violations] == [f"labels.{label}"]
    assert label in error.message


def test_more_tries_than_there_may_be_are_refused() -> None:
    assert policy(retryNum="100").tries == 101
    assert "at most 100" in refusal("retryNum", "101").message


def test_a_session_of_its_own_is_asked_for_by_yes_or_no() -> None:
    assert refusal("executeOnce", "perhaps").violations[0].field == "labels.executeOnce"


def test_a_job_that_waits_may_do_so_for_its_queuing_timeout() -> None:
    for status in (JobStatus.INITED, JobStatus.SCHEDULED):
        limit = time_limit(job(status), BOTH)
        assert limit == TimeLimit("jobQueuingTimeout", MINUTE, NOON + MINUTE)


def test_a_job_that_runs_may_do_so_for_its_running_timeout() -> None:
    running = job(JobStatus.RUNNING, start_time=NOON + HOUR)
    assert time_limit(running, BOTH) == TimeLimit("jobRunningTimeout", HOUR, NOON + 2 * HOUR)


def test_the_wait_for_a_retry_does_not_count_but_that_for_its_turn_does() -> None:
    due = NOON + HOUR
    for status in (JobStatus.WAIT_FOR_RETRY, JobStatus.INITED, JobStatus.SCHEDULED):
        limit = time_limit(job(status, attempt=2, retry_time=due), BOTH)
        assert limit == TimeLimit("jobQueuingTimeout", MINUTE, due + MINUTE)


def test_time_for_which_it_was_paused_does_not_count() -> None:
    running = job(JobStatus.RUNNING, start_time=NOON, paused_for=5 * MINUTE)
    assert time_limit(running, BOTH) == TimeLimit(
        "jobRunningTimeout", HOUR, NOON + HOUR + 5 * MINUTE
    )


@pytest.mark.parametrize("status", [JobStatus.INITED, JobStatus.RUNNING])
def test_a_paused_job_has_no_limit(status: JobStatus) -> None:
    paused = job(status, start_time=NOON, paused=True, pause_time=NOON)
    assert time_limit(paused, BOTH) is None


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_job_that_has_ended_has_no_limit(status: JobStatus) -> None:
    assert time_limit(job(status, start_time=NOON), BOTH) is None


@pytest.mark.parametrize("status", [JobStatus.INITED, JobStatus.RUNNING])
def test_without_a_policy_there_is_no_limit(status: JobStatus) -> None:
    assert time_limit(job(status, start_time=NOON), RunPolicy()) is None
