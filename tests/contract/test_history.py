"""The history as clients read it after a submit, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from entrance.client import JobHandle, JobParams, JobStatus
from tests.support.jobs import busy_group, ended, new_creator, said
from tests.support.paths import ask, refusal
from tests.support.service import Caller, Service
from tests.support.waiting import until

FIELDS = [
    *("taskID", "instance", "execId", "umUser", "engineInstance", "progress", "executionCode"),
    *("executeUser", "logPath", "resultLocation", "status", "createdTime", "updatedTime"),
    *("engineType", "engineStartTime", "errCode", "errDesc", "executeApplicationName"),
    *("requestApplicationName", "runType", "paramsJson", "sourceJson", "sourceTailor", "costTime"),
    *("strongerExecId", "labels", "canRetry", "observeInfo", "isReuse", "requestStartTime"),
    *("requestEndTime", "requestSpendTime", "metrics", "subJobs"),
]
MILLISECONDS = 1_600_000_000_000  # that any time of today is beyond


@pytest.fixture(scope="module")
def creator() -> str:
    return new_creator()


@pytest.fixture(scope="module")
def job(service: Service, creator: str) -> JobHandle:
    """A job of alice's that has run, with everything that a caller can give."""
    job = service.alice.client.submit(
        "SELECT 42 AS answer; SELECT 1",
        engine="duckdb",
        creator=creator,
        variables={"name": "world"},
        params=JobParams(special={"colour": "blue"}),
        labels={"route": "north"},
        source={"scriptPath": "/x/y.sql"},
    )
    ended(job, JobStatus.SUCCEED)
    return job


@pytest.fixture(scope="module")
def failed(service: Service, creator: str) -> JobHandle:
    job = service.alice.client.submit("exit 3", engine="shell", creator=creator)
    ended(job, JobStatus.FAILED)
    return job


@pytest.fixture
def running(alice: Caller) -> Iterator[JobHandle]:
    job = alice.client.submit("echo started; sleep 1000", engine="shell", creator=new_creator())
    said(job, "started")
    yield job
    if not job.status().is_final:
        job.kill()


def task_of(caller: Caller, job: JobHandle) -> dict[str, Any]:
    task: dict[str, Any] = ask(caller, "GetTask", id=job.task_id)["task"]
    return task


def numbers(page: dict[str, Any]) -> list[int]:
    return [task["taskID"] for task in page["tasks"]]


class TestTask:
    def test_it_has_the_documented_fields(self, alice: Caller, job: JobHandle) -> None:
        assert list(task_of(alice, job)) == FIELDS

    def test_an_ended_job(self, service: Service, job: JobHandle, creator: str) -> None:
        task = task_of(service.alice, job)
        known = job.get()
        assert known.create_time is not None
        assert known.start_time is not None
        assert known.end_time is not None
        assert {name: task[name] for name in FIELDS if not name.endswith("Time")} == {
            "taskID": job.task_id,
            "instance": known.instance,
            "execId": job.exec_id,
            "strongerExecId": job.exec_id,
            "umUser": "alice",
            "executeUser": "alice",
            "engineInstance": known.session_id,
            "progress": 1.0,
            "executionCode": "SELECT 42 AS answer; SELECT 1",
            "logPath": f"entrance:///{job.task_id}/log",
            "resultLocation": f"entrance:///{job.task_id}/results",
            "status": "Succeed",
            "engineType": "duckdb",
            "errCode": None,
            "errDesc": None,
            "executeApplicationName": "duckdb",
            "requestApplicationName": creator,
            "runType": "sql",
            "paramsJson": task["paramsJson"],
            "sourceJson": task["sourceJson"],
            "sourceTailor": "/x/y.sql",
            "labels": task["labels"],
            "canRetry": False,
            "observeInfo": None,
            "isReuse": False,
            "metrics": task["metrics"],
            "subJobs": None,
        }
        assert json.loads(task["paramsJson"]) == {
            "variable": {"name": "world"},
            "configuration": {"startup": {}, "runtime": {}, "special": {"colour": "blue"}},
        }
        assert json.loads(task["sourceJson"]) == {
            "scriptPath": "/x/y.sql",
            "requestIP": "127.0.0.1",
        }
        assert sorted(task["labels"]) == [
            "engineType:duckdb",
            "route:north",
            f"userCreator:alice-{creator}",
        ]
        assert task["createdTime"] == int(known.create_time.timestamp() * 1000)
        assert task["engineStartTime"] == int(known.start_time.timestamp() * 1000)
        cost = known.end_time - known.create_time
        assert task["costTime"] == int(cost.total_seconds() * 1000)

    def test_times_are_in_order_and_in_milliseconds(self, alice: Caller, job: JobHandle) -> None:
        task = task_of(alice, job)
        times = [
            *(task["createdTime"], task["requestEndTime"]),
            *(task["engineStartTime"], task["updatedTime"]),
        ]
        assert times == sorted(times)
        assert times[0] > MILLISECONDS
        assert task["requestStartTime"] == task["createdTime"]
        assert 0 <= task["requestSpendTime"] <= times[1] - times[0] + 1

    def test_metrics_are_json(self, alice: Caller, job: JobHandle) -> None:
        metrics = json.loads(task_of(alice, job)["metrics"])
        assert metrics.keys() == {
            *("submitTime", "scheduleTime", "runningTime", "completeTime", "attempts", "resultSets")
        }
        assert (metrics["attempts"], metrics["resultSets"]) == (1, 2)

    def test_a_failed_job_tells_why(self, alice: Caller, failed: JobHandle) -> None:
        task = task_of(alice, failed)
        error = failed.get().error
        assert error is not None
        assert (task["status"], task["errCode"], task["errDesc"]) == (
            "Failed",
            error.code,
            error.message,
        )
        assert not task["canRetry"]

    def test_a_running_job_tells_no_error_and_no_end(
        self, alice: Caller, running: JobHandle
    ) -> None:
        answer = alice.rest.http.get(f"/api/rest_j/v1/jobhistory/{running.task_id}/get")
        task = answer.json()["data"]["task"]
        assert task["status"] == "Running"
        assert (task["errCode"], task["errDesc"], task["metrics"]) == (None, None, None)
        assert 0 <= task["progress"] < 1
        assert task["engineInstance"] == running.get().session_id

    def test_a_waiting_job_has_no_session(self, alice: Caller) -> None:
        creator = new_creator()
        with busy_group(alice, creator):
            job = alice.client.submit("exit 0", engine="shell", creator=creator)
            answer = alice.rest.http.get(f"/api/rest_j/v1/jobhistory/{job.task_id}/get")
            task = answer.json()["data"]["task"]
            job.kill()
        assert task["status"] == "Inited"
        unknown = ("engineInstance", "engineStartTime", "isReuse", "requestEndTime")
        assert [task[name] for name in (*unknown, "requestSpendTime")] == [None] * 5

    def test_a_second_job_reuses_the_session(self, alice: Caller) -> None:
        creator = new_creator()
        jobs = []
        for _ in range(2):
            job = alice.client.submit("exit 0", engine="shell", creator=creator)
            ended(job, JobStatus.SUCCEED)
            jobs.append(task_of(alice, job))
        assert jobs[0]["engineInstance"] == jobs[1]["engineInstance"]
        assert [task["isReuse"] for task in jobs] == [False, True]

    def test_an_exec_id_does_too(self, alice: Caller, job: JobHandle) -> None:
        assert ask(alice, "GetTask", id=job.exec_id) == ask(alice, "GetTask", id=job.task_id)

    def test_unknown_and_not_mine_are_one_answer(self, bob: Caller, job: JobHandle) -> None:
        told = {id: refusal(bob, "GetTask", id=id) for id in (job.task_id, 2**62)}
        for id, one in told.items():
            assert (one.code, one.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
            assert one.message == f"There is no job '{id}', or it is not yours."

    def test_an_administrator_sees_it(self, service: Service, job: JobHandle) -> None:
        assert task_of(service.admin, job) == task_of(service.alice, job)


class TestList:
    def test_newest_first_without_code_and_parameters(
        self, alice: Caller, creator: str, job: JobHandle, failed: JobHandle
    ) -> None:
        page = ask(alice, "ListTasks", creator=creator)
        assert numbers(page) == sorted([job.task_id, failed.task_id], reverse=True)
        assert page["totalPage"] == 2
        (listed,) = [task for task in page["tasks"] if task["taskID"] == job.task_id]
        whole = task_of(alice, job)
        assert listed == whole | {"executionCode": None, "paramsJson": None}

    def test_pages_by_number(
        self, alice: Caller, creator: str, job: JobHandle, failed: JobHandle
    ) -> None:
        pages = [
            ask(alice, "ListTasks", creator=creator, pageNow=page, pageSize=1) for page in (1, 2, 3)
        ]
        assert [numbers(page) for page in pages] == [
            *([number] for number in sorted([job.task_id, failed.task_id], reverse=True)),
            [],
        ]
        assert {page["totalPage"] for page in pages} == {2}

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"status": "Succeed"}, ["job"]),
            ({"status": "succeed,Failed"}, ["job", "failed"]),
            ({"status": "Running"}, []),
            ({"status": ""}, ["job", "failed"]),
            ({"executeApplicationName": "shell"}, ["failed"]),
            ({"runType": "sql"}, ["job"]),
            ({"startDate": MILLISECONDS}, ["job", "failed"]),
            ({"endDate": MILLISECONDS}, []),
            ({"startDate": 1, "endDate": 1}, []),
            ({"instance": "elsewhere:1"}, []),
            ({"engineInstance": "none"}, []),
            ({"isAdminView": False}, ["job", "failed"]),
        ],
        ids=str,
    )
    def test_filters(
        self,
        alice: Caller,
        creator: str,
        job: JobHandle,
        failed: JobHandle,
        query: dict[str, Any],
        found: list[str],
    ) -> None:
        jobs = {"job": job.task_id, "failed": failed.task_id}
        page = ask(alice, "ListTasks", creator=creator, **query)
        assert sorted(numbers(page)) == sorted(jobs[name] for name in found)
        assert page["totalPage"] == len(found)

    def test_by_what_one_job_has(self, alice: Caller, job: JobHandle) -> None:
        task = task_of(alice, job)
        for query in (
            {"taskID": task["taskID"]},
            {"taskID": task["taskID"], "instance": task["instance"]},
            {"engineInstance": task["engineInstance"]},
            {"taskID": task["taskID"], "startDate": task["createdTime"]},
            {"taskID": task["taskID"], "endDate": task["createdTime"]},
        ):
            assert numbers(ask(alice, "ListTasks", **query)) == [job.task_id]
        late = {"taskID": task["taskID"], "startDate": task["createdTime"] + 1}
        assert numbers(ask(alice, "ListTasks", **late)) == []

    def test_nobody_sees_more_by_asking_for_it(
        self, bob: Caller, creator: str, job: JobHandle
    ) -> None:
        assert numbers(ask(bob, "ListTasks", creator=creator)) == []
        assert numbers(ask(bob, "ListTasks", creator=creator, isAdminView=True)) == []
        assert numbers(ask(bob, "ListTasks", taskID=job.task_id)) == []
        for more in ({}, {"isAdminView": True}):
            told = refusal(bob, "ListTasks", proxyUser="alice", **more)
            assert told.code is grpc.StatusCode.PERMISSION_DENIED

    def test_an_administrator_sees_everybody_s(
        self, service: Service, creator: str, job: JobHandle, failed: JobHandle
    ) -> None:
        both = sorted([job.task_id, failed.task_id], reverse=True)
        admin = service.admin
        assert numbers(ask(admin, "ListTasks", creator=creator)) == []
        assert numbers(ask(admin, "ListTasks", creator=creator, isAdminView=True)) == both
        assert numbers(ask(admin, "ListTasks", creator=creator, proxyUser="alice")) == both
        assert numbers(ask(admin, "ListTasks", creator=creator, proxyUser="bob")) == []

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"status": "Nonsense"}, "status"),
            ({"startDate": 2**63 - 1}, "startDate"),
            ({"endDate": -(2**63)}, "endDate"),
            ({"pageNow": -1}, "pageNow"),
            ({"pageSize": -1}, "pageSize"),
        ],
    )
    def test_what_can_not_be_is_refused(
        self, alice: Caller, query: dict[str, Any], field: str
    ) -> None:
        for rpc in ("ListTasks", "ListUndoneTasks"):
            told = refusal(alice, rpc, **query)
            assert told.code is grpc.StatusCode.INVALID_ARGUMENT
            assert told.violations.keys() == {field}


class TestUndone:
    def test_only_what_goes_on(self, alice: Caller, running: JobHandle) -> None:
        creator = running.get().creator
        page = listed(alice, "listundonetasks", creator=creator)
        assert numbers(page) == [running.task_id]
        assert page["totalPage"] == 1
        assert page["tasks"][0]["status"] == "Running"
        assert numbers(listed(alice, "listundonetasks", creator=creator, status="Inited")) == []
        assert numbers(listed(alice, "listundonetasks", creator=creator, engineType="sql")) == []

    def test_from_a_number_on(self, alice: Caller, running: JobHandle) -> None:
        creator, number = running.get().creator, running.task_id
        for start, found in ((number, [number]), (number + 1, [])):
            page = listed(alice, "listundonetasks", creator=creator, startTaskID=start)
            assert numbers(page) == found

    def test_nothing_that_has_ended(self, alice: Caller, running: JobHandle) -> None:
        creator = running.get().creator
        running.kill()
        until(
            lambda: not numbers(listed(alice, "listundonetasks", creator=creator)),
            "the job is gone from those that go on",
        )
        told = refusal(alice, "ListUndoneTasks", status="Cancelled")
        assert told.violations.keys() == {"status"}

    def test_nobody_else_s(self, bob: Caller, running: JobHandle) -> None:
        assert running.task_id not in numbers(listed(bob, "listundonetasks", pageSize=1000))


def test_the_console_is_told_the_caller_s_rights(service: Service) -> None:
    rights = {"deptAdmin": False, "canResultSet": True, "errorMsgTip": ""}
    for caller, is_admin in ((service.admin, True), (service.alice, False)):
        expected = {"admin": is_admin, "historyAdmin": is_admin, **rights}
        assert ask(caller, "GetGovernanceStationAdmin") == expected


def listed(caller: Caller, name: str, **query: Any) -> dict[str, Any]:
    """A list by REST alone, since what goes on is not the same a moment later."""
    response = caller.rest.http.get(f"/api/rest_j/v1/jobhistory/{name}", params=query)
    data: dict[str, Any] = response.raise_for_status().json()["data"]
    return data
