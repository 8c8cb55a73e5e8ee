"""Jobs as the documented history shows them, and which ones a caller asks it for."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from entrance.v1 import history_pb2 as pb
from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.job import Job, JobError, JobParams
from entrance_server.domain.status import ACTIVE, FINAL, JobStatus
from entrance_server.rpc import tasks
from entrance_server.service.history import Task, TaskPage, TaskQuery
from entrance_server.store.port import JobFilter
from tests.unit.specs import spec

ACCEPTED = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
MILLISECONDS = 1_767_268_800_123
SECOND = timedelta(seconds=1)


def job(status: JobStatus = JobStatus.INITED, **changes: Any) -> Job:
    made = Job(7, spec(), "here:9104", status, create_time=ACCEPTED, update_time=ACCEPTED)
    return dataclasses.replace(made, **changes)


def shown(job: Job, cost: timedelta = SECOND) -> pb.Task:
    return tasks.task(Task(job, cost))


RUNNING = job(
    JobStatus.RUNNING,
    schedule_time=ACCEPTED + SECOND,
    start_time=ACCEPTED + 2 * SECOND,
    session_id="s1",
    session_reused=True,
    progress=0.25,
)
ENDED = dataclasses.replace(
    RUNNING, status=JobStatus.SUCCEED, end_time=ACCEPTED + 3 * SECOND, result_count=2
)


def test_a_new_job_has_what_is_known_of_it_and_nothing_else() -> None:
    task = shown(job())
    assert task == pb.Task(
        task_id=7,
        instance="here:9104",
        exec_id=job().exec_id,
        stronger_exec_id=job().exec_id,
        um_user="alice",
        execute_user="alice",
        progress=0,
        execution_code="SELECT 1",
        log_path="entrance:///7/log",
        result_location="entrance:///7/results",
        status="Inited",
        created_time=MILLISECONDS,
        updated_time=MILLISECONDS,
        engine_type="duckdb",
        execute_application_name="duckdb",
        request_application_name="IDE",
        run_type="sql",
        params_json='{"variable":{},"configuration":{"startup":{},"runtime":{},"special":{}}}',
        source_json="{}",
        cost_time=1000,
        request_start_time=MILLISECONDS,
    )


def test_a_running_job_has_its_session_and_its_times() -> None:
    task = shown(RUNNING)
    assert (task.status, task.progress, task.engine_instance) == ("Running", 0.25, "s1")
    assert task.is_reuse
    assert task.request_end_time == MILLISECONDS + 1000
    assert task.request_spend_time == 1000
    assert task.engine_start_time == MILLISECONDS + 2000
    assert not task.HasField("metrics")


def test_an_ended_job_is_whole_and_tells_its_times() -> None:
    task = shown(ENDED)
    assert task.progress == 1
    assert json.loads(task.metrics) == {
        "submitTime": "2026-01-01T12:00:00+0000",
        "scheduleTime": "2026-01-01T12:00:01+0000",
        "runningTime": "2026-01-01T12:00:02+0000",
        "completeTime": "2026-01-01T12:00:03+0000",
        "attempts": 1,
        "resultSets": 2,
    }


def test_a_job_that_ended_before_it_ran_has_no_times_of_a_run() -> None:
    cancelled = job(JobStatus.CANCELLED, end_time=ACCEPTED + SECOND)
    assert json.loads(shown(cancelled).metrics).keys() == {
        *("submitTime", "completeTime", "attempts", "resultSets")
    }


@pytest.mark.parametrize("status", JobStatus)
def test_an_error_is_told_when_the_job_has_ended_by_it(status: JobStatus) -> None:
    task = shown(job(status, error=JobError(40_900, "It went.")))
    if status in FINAL:
        assert (task.err_code, task.err_desc) == (40_900, "It went.")
    else:
        assert not task.HasField("err_code")
        assert not task.HasField("err_desc")


@pytest.mark.parametrize(
    ("status", "start_time", "can_retry"),
    [
        (JobStatus.FAILED, None, True),
        (JobStatus.TIMEOUT, None, True),
        (JobStatus.FAILED, ACCEPTED, False),
        (JobStatus.CANCELLED, None, False),
        (JobStatus.SUCCEED, ACCEPTED, False),
        (JobStatus.INITED, None, False),
    ],
)
def test_a_job_of_which_nothing_ran_can_be_run_again(
    status: JobStatus, start_time: datetime | None, can_retry: bool
) -> None:
    assert shown(job(status, start_time=start_time)).can_retry == can_retry


def test_labels_parameters_and_source_are_shown_as_they_were_given() -> None:
    given = spec(
        submit_user="root",
        labels={"engineType": "duckdb-1.5", "userCreator": "alice-IDE"},
        params=JobParams({"v": "1"}, {"s": "2"}, {"r": "ü"}, {"p": '"'}),
        source={"scriptPath": "/home/alice/a.sql", "requestIP": "10.0.0.7"},
    )
    task = shown(job(spec=given))
    assert (task.um_user, task.execute_user) == ("root", "alice")
    assert list(task.labels) == ["engineType:duckdb-1.5", "userCreator:alice-IDE"]
    assert json.loads(task.params_json) == {
        "variable": {"v": "1"},
        "configuration": {"startup": {"s": "2"}, "runtime": {"r": "ü"}, "special": {"p": '"'}},
    }
    assert json.loads(task.source_json) == given.source
    assert task.source_tailor == "/home/alice/a.sql"


def test_a_long_script_s_path_keeps_its_end() -> None:
    path = "/" + "d/" * 50 + "name.sql"
    tailor = shown(job(spec=spec(source={"scriptPath": path}))).source_tailor
    assert len(tailor) == tasks.SOURCE_LENGTH
    assert tailor.startswith("…")
    assert path.endswith(tailor[1:])


def test_a_list_leaves_code_and_parameters_out() -> None:
    page = TaskPage([Task(ENDED, SECOND)], total=41)
    for answer in (tasks.page(page), tasks.undone_page(page)):
        (task,) = answer.tasks
        assert not task.HasField("execution_code")
        assert not task.HasField("params_json")
        assert task.source_json == "{}"
        assert answer.total_page == 41


def test_a_plain_request_asks_for_everything_that_is_the_caller_s() -> None:
    assert tasks.query(pb.ListTasksRequest()) == TaskQuery(JobFilter(), 0, 0, "", False)


def test_every_filter_is_taken() -> None:
    request = pb.ListTasksRequest(
        start_date=1,
        end_date=MILLISECONDS,
        status="Succeed,failed , ",
        page_now=2,
        page_size=3,
        task_id=7,
        execute_application_name="duckdb",
        creator="IDE",
        proxy_user="bob",
        is_admin_view=True,
        instance="here:9104",
        engine_instance="s1",
        run_type="sql",
    )
    where = JobFilter(
        statuses=frozenset({JobStatus.SUCCEED, JobStatus.FAILED}),
        creator="IDE",
        engine_type="duckdb",
        create_time_from=datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC),
        create_time_to=datetime(2026, 1, 1, 12, 0, 0, 124_000, tzinfo=UTC),
        task_id=7,
        instance="here:9104",
        session_id="s1",
        run_type="sql",
    )
    assert tasks.query(request) == TaskQuery(where, 2, 3, "bob", True)


def test_the_last_millisecond_is_within() -> None:
    query = tasks.query(pb.ListTasksRequest(end_date=MILLISECONDS))
    assert query.where.create_time_to is not None
    assert ACCEPTED < query.where.create_time_to <= ACCEPTED + timedelta(milliseconds=1)


def test_the_same_day_twice_is_that_day() -> None:
    request = pb.ListTasksRequest(start_date=MILLISECONDS, end_date=MILLISECONDS)
    where = tasks.query(request).where
    assert where.create_time_from is not None
    assert where.create_time_to == where.create_time_from + timedelta(days=1)


def test_jobs_that_go_on_are_of_every_state_that_is_not_final() -> None:
    assert tasks.undone_query(pb.ListUndoneTasksRequest()).where == JobFilter(statuses=ACTIVE)


def test_jobs_that_go_on_are_filtered_too() -> None:
    request = pb.ListUndoneTasksRequest(
        start_date=1, status="RUNNING", start_task_id=5, engine_type="shell", creator="IDE"
    )
    query = tasks.undone_query(request)
    assert query.where == JobFilter(
        statuses=frozenset({JobStatus.RUNNING}),
        creator="IDE",
        engine_type="shell",
        create_time_from=datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC),
        task_id_from=5,
    )
    assert (query.user, query.everybody) == ("", False)


@pytest.mark.parametrize("status", ["Nonsense", "Running,nonsense", "Running;Failed"])
def test_a_state_that_is_none_is_refused_with_those_that_are(status: str) -> None:
    with pytest.raises(InvalidRequest, match="Cancelled, Failed, Inited") as told:
        tasks.query(pb.ListTasksRequest(status=status))
    assert [one.field for one in told.value.violations] == ["status"]


def test_an_ended_state_is_none_of_a_job_that_goes_on() -> None:
    with pytest.raises(InvalidRequest, match="Inited, Running, Scheduled, WaitForRetry"):
        tasks.undone_query(pb.ListUndoneTasksRequest(status="Succeed"))


@pytest.mark.parametrize("time", [2**63 - 1, -(2**63), 253_402_300_800_000])
def test_a_time_that_is_none_is_refused(time: int) -> None:
    with pytest.raises(InvalidRequest, match="startDate"):
        tasks.query(pb.ListTasksRequest(start_date=time))
    with pytest.raises(InvalidRequest, match="endDate"):
        tasks.undone_query(pb.ListUndoneTasksRequest(end_date=time))
