"""The life of a job."""

from __future__ import annotations

import pytest

from entrance_server.domain.status import ACTIVE, FINAL, JobStatus, may_follow

ENDINGS_WITHOUT_SUCCESS = {JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT}
NEXT = {
    JobStatus.INITED: {JobStatus.SCHEDULED},
    JobStatus.WAIT_FOR_RETRY: {JobStatus.SCHEDULED},
    JobStatus.SCHEDULED: {JobStatus.RUNNING, JobStatus.WAIT_FOR_RETRY},
    JobStatus.RUNNING: {JobStatus.SUCCEED, JobStatus.WAIT_FOR_RETRY},
}


def test_the_names_are_those_on_the_wire() -> None:
    assert [status.value for status in JobStatus] == [
        "Inited",
        "WaitForRetry",
        "Scheduled",
        "Running",
        "Succeed",
        "Failed",
        "Cancelled",
        "Timeout",
    ]


def test_every_state_is_either_active_or_final() -> None:
    assert set(JobStatus) == ACTIVE | FINAL
    assert not ACTIVE & FINAL
    assert {status for status in JobStatus if status.is_final} == FINAL


@pytest.mark.parametrize("final", sorted(FINAL))
def test_a_final_state_never_changes(final: JobStatus) -> None:
    assert not any(may_follow(final, status) for status in JobStatus)


@pytest.mark.parametrize("status", JobStatus)
def test_no_state_follows_itself(status: JobStatus) -> None:
    assert not may_follow(status, status)


@pytest.mark.parametrize("current", NEXT)
def test_an_active_state_goes_on_or_ends_badly(current: JobStatus) -> None:
    following = {status for status in JobStatus if may_follow(current, status)}
    assert following == NEXT[current] | ENDINGS_WITHOUT_SUCCESS


def test_a_job_succeeds_only_from_running() -> None:
    assert [s for s in JobStatus if may_follow(s, JobStatus.SUCCEED)] == [JobStatus.RUNNING]
