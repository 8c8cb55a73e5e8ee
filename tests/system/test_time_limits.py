"""Jobs that wait or run longer than their labels allow."""

from __future__ import annotations

import pytest

from entrance.client import InvalidArgument, JobHandle, JobStatus
from tests.support.footprint import gone
from tests.support.jobs import became, busy_group, ended, new_creator, printed, said, texts
from tests.support.service import Caller, Service, running_service

FOREVER = "echo started; sleep 1000 & sleep 1000"


def submit(caller: Caller, code: str, creator: str, **labels: str) -> JobHandle:
    return caller.client.submit(code, engine="shell", creator=creator, labels=labels)


def last_line(job: JobHandle) -> str:
    return texts(job)[-1]


def error_of(job: JobHandle) -> tuple[int, str]:
    error = job.get().error
    assert error is not None
    return error.code, error.message


class TestRunning:
    def test_a_job_that_runs_too_long_is_ended_with_all_its_processes(
        self, service: Service, alice: Caller
    ) -> None:
        job = submit(alice, FOREVER, new_creator(), jobRunningTimeout="1")
        said(job, "started")
        pids = [process.pid for process in service.job_processes(job)]
        ended(job, JobStatus.TIMEOUT)
        assert pids
        assert gone(pids)

    def test_it_is_told_which_limit_it_was(self, alice: Caller) -> None:
        job = submit(alice, FOREVER, new_creator(), jobRunningTimeout="1")
        ended(job, JobStatus.TIMEOUT)
        assert last_line(job).endswith(
            "WARN Your job ran longer than its jobRunningTimeout of 1 s and is ended."
        )
        assert error_of(job) == (40902, "it ran longer than its jobRunningTimeout of 1 s")
        assert alice.rest.get(f"{job.task_id}/status").data["status"] == "Timeout"

    def test_a_job_that_ends_in_time_is_left_alone(self, alice: Caller) -> None:
        job = submit(alice, "exit 0", new_creator(), jobRunningTimeout="60")
        ended(job, JobStatus.SUCCEED)

    def test_time_for_which_it_is_frozen_does_not_count(self, alice: Caller) -> None:
        creator = new_creator()
        frozen = submit(alice, FOREVER, creator, jobRunningTimeout="1")
        said(frozen, "started")
        frozen.pause()
        if frozen.status().is_final:
            pytest.skip("the machine is too slow to freeze a job within a second")
        later = submit(alice, FOREVER, creator, jobRunningTimeout="1")
        ended(later, JobStatus.TIMEOUT)
        assert frozen.status() is JobStatus.RUNNING
        frozen.resume()
        ended(frozen, JobStatus.TIMEOUT)

    def test_the_limit_holds_over_a_restart_of_the_server(self, own_service: Service) -> None:
        job = submit(own_service.alice, FOREVER, new_creator(), jobRunningTimeout="2")
        said(job, "started")
        own_service.restart_server()
        ended(job, JobStatus.TIMEOUT)
        assert not own_service.job_processes(job)


class TestWaiting:
    def test_a_job_that_waits_too_long_never_runs(self, alice: Caller) -> None:
        creator = new_creator()
        with busy_group(alice, creator):
            job = submit(alice, "echo ran", creator, jobQueuingTimeout="1")
            ended(job, JobStatus.TIMEOUT)
        assert printed(job) == []
        assert last_line(job).endswith(
            "WARN Your job waited longer than its jobQueuingTimeout of 1 s and is ended."
        )
        assert error_of(job) == (40903, "it waited longer than its jobQueuingTimeout of 1 s")

    def test_its_place_in_the_queue_is_free_again(self, service: Service) -> None:
        creator = new_creator()
        with busy_group(service.alice, creator):
            job = submit(service.alice, "exit 0", creator, jobQueuingTimeout="1")
            ended(job, JobStatus.TIMEOUT)
            (load,) = (
                group
                for group in service.admin.client.operations.groups()
                if group.creator == creator
            )
            assert (load.running, load.waiting) == (2, 0)

    def test_the_time_that_it_runs_does_not_count(self, alice: Caller) -> None:
        creator = new_creator()
        job = submit(alice, "echo started; sleep 1000", creator, jobQueuingTimeout="2")
        said(job, "started")
        with busy_group(alice, waiting := new_creator()):
            witness = submit(alice, "exit 0", waiting, jobQueuingTimeout="3")
            ended(witness, JobStatus.TIMEOUT)
        assert job.status() is JobStatus.RUNNING
        job.kill()

    def test_time_for_which_it_is_held_does_not_count(self, alice: Caller) -> None:
        creator = new_creator()
        with busy_group(alice, creator):
            held = submit(alice, "exit 0", creator, jobQueuingTimeout="1")
            held.pause()
            later = submit(alice, "exit 0", creator, jobQueuingTimeout="1")
            ended(later, JobStatus.TIMEOUT)
            assert held.status() is JobStatus.INITED
            held.resume()
            ended(held, JobStatus.TIMEOUT)


def test_an_installation_has_limits_for_jobs_without_labels() -> None:
    with running_service({"ENTRANCE_JOB_RUNNING_TIMEOUT": "1"}) as service:
        limited = submit(service.alice, FOREVER, "IDE")
        free = submit(service.alice, "echo started; sleep 1000", "IDE", jobRunningTimeout="0")
        ended(limited, JobStatus.TIMEOUT)
        assert became(free, JobStatus.RUNNING)


@pytest.mark.parametrize("label", ["jobRunningTimeout", "jobQueuingTimeout", "retryNum"])
def test_a_value_that_is_no_number_is_refused_alike_by_grpc_and_rest(
    alice: Caller, label: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        submit(alice, "exit 0", "IDE", **{label: "soon"})
    assert [violation.field for violation in refused.value.violations] == [f"labels.{label}"]
    answer = alice.rest.submit("exit 0", "shell", "sh", **{label: "soon"})
    assert (answer.http, answer.data["errCode"]) == (400, 20004)
    assert answer.data["violations"][0]["field"] == f"labels.{label}"
