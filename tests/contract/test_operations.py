"""The documented operations by REST, field by field, on real jobs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from entrance.client import JobHandle, JobStatus
from tests.support.jobs import became, busy_group, ended, new_creator, said, texts
from tests.support.rest import Answer, labels_form
from tests.support.routes import Route, routes
from tests.support.service import Caller, Service
from tests.support.waiting import until

CODE = """\
echo one
echo '2030-01-31 08:00:00 ERROR two'
echo
echo '2030-01-31 08:00:00.123 WARN three'
echo '2030-01-31 08:00:00 SYSTEM-ERROR four'
echo '   '
echo five
"""
STAGE = {"id", "succeedTasks", "failedTasks", "runningTasks", "totalTasks"}
METRICS = {"yarnResource", "corePercent", "memoryPercent", "coreRGB", "memoryRGB"}
RESOURCE = {"applicationId", "queueName", "queueMemory", "queueCores", "queueInstances"}
ALL_ROUTES = list(routes("EntranceService"))
JOB_ROUTES = [route for route in ALL_ROUTES if route.names_a_job]


@pytest.fixture(scope="module")
def ended_job(service: Service) -> JobHandle:
    job = service.alice.client.submit(CODE, engine="shell")
    ended(job, JobStatus.SUCCEED)
    return job


@pytest.fixture
def running_job(alice: Caller) -> Iterator[JobHandle]:
    job = alice.client.submit("echo started; sleep 1000", engine="shell", creator=new_creator())
    said(job, "started")
    yield job
    if not job.status().is_final:
        job.kill()


class TestExecuteAndSubmit:
    @pytest.mark.parametrize("operation", ["execute", "submit"])
    def test_answers_with_both_ids(self, alice: Caller, operation: str) -> None:
        answer = alice.rest.post(operation, labels_form("exit 0", "shell", "sh"))
        assert (answer.http, answer.status, answer.message) == (200, 0, "OK")
        assert answer.method == f"/api/entrance/{operation}"
        assert answer.data.keys() == {"execID", "taskID"}
        assert isinstance(answer.data["taskID"], int)
        ended(alice.client.job(answer.data["execID"]), JobStatus.SUCCEED)

    def test_an_exec_id_is_made_of_its_documented_parts(self, alice: Caller) -> None:
        answer = alice.rest.submit("exit 0", "shell", "sh", userCreator="alice-Desk")
        exec_id, task_id = answer.data["execID"], answer.data["taskID"]
        head = re.fullmatch(r"exec_id(\d{3})(\d{3})(.*)", exec_id)
        assert head is not None
        application, instance = int(head[1]), int(head[2])
        assert head[3][:application] == "entrance"
        assert (
            head[3][application : application + instance]
            == alice.client.job(task_id).get().instance
        )
        assert head[3][application + instance :] == f"Desk_alice_{task_id}"

    def test_every_part_of_the_labels_form_is_kept(self, alice: Caller) -> None:
        body = labels_form("echo ${name}", "shell-5.2", "shell", route="north", retryNum=3)
        body["labels"]["userCreator"] = "alice-Desk"
        body["params"] = {
            "variable": {"name": "world"},
            "configuration": {"startup": {}, "runtime": {"a": "b", "n": 1, "yes": True}},
        }
        body["source"] = {"scriptPath": "/home/x.sh"}
        answer = alice.rest.post("execute", body)
        job = alice.client.job(answer.data["execID"])
        ended(job, JobStatus.SUCCEED)
        assert "world" in texts(job)
        kept = alice.rest.get(f"{job.exec_id}/job").data["job"]
        assert kept["code"] == "echo ${name}"
        assert (kept["engineType"], kept["runType"], kept["creator"]) == ("shell", "shell", "Desk")
        assert kept["labels"]["route"] == "north"
        assert kept["labels"]["retryNum"] == "3"
        assert kept["labels"]["userCreator"] == "alice-Desk"
        assert kept["params"]["variable"] == {"name": "world"}
        assert kept["params"]["configuration"]["runtime"] == {"a": "b", "n": "1", "yes": "true"}
        assert kept["source"] == {"scriptPath": "/home/x.sh", "requestIP": "127.0.0.1"}

    @pytest.mark.parametrize("operation", ["execute", "submit"])
    def test_the_old_form_names_engine_and_creator_otherwise(
        self, alice: Caller, operation: str
    ) -> None:
        answer = alice.rest.post(
            operation,
            {
                "executionCode": "SELECT 1 AS a",
                "executeApplicationName": "duckdb",
                "requestApplicationName": "Nightly",
                "params": {"variable": {"k": "v"}},
                "source": {"scriptPath": "/a.sql"},
            },
        )
        assert answer.is_ok, answer
        job = alice.client.job(answer.data["execID"])
        ended(job, JobStatus.SUCCEED)
        kept = job.get()
        assert (kept.engine_type, kept.run_type, kept.creator) == ("duckdb", "sql", "Nightly")
        assert kept.code == "SELECT 1 AS a"

    def test_the_creator_is_ide_unless_the_caller_names_one(self, alice: Caller) -> None:
        labels = alice.rest.submit("exit 0", "shell", "sh").data
        old = {"executionCode": "exit 0", "runType": "sh", "executeApplicationName": "shell"}
        for answer in (labels, alice.rest.post("submit", old).data):
            assert alice.client.job(answer["taskID"]).get().creator == "IDE"

    def test_the_caller_of_execute_is_always_the_executing_user(self, service: Service) -> None:
        body = {**labels_form("exit 0", "shell", "sh"), "executeUser": "bob"}
        answer = service.admin.rest.post("execute", body)
        assert service.admin.client.job(answer.data["taskID"]).get().execute_user == "admin"

    def test_an_administrator_submits_for_another_user(self, service: Service) -> None:
        body = {**labels_form("exit 0", "shell", "sh"), "executeUser": "bob"}
        answer = service.admin.rest.post("submit", body)
        job = service.bob.client.job(answer.data["taskID"])
        ended(job, JobStatus.SUCCEED)
        assert (job.get().execute_user, job.get().submit_user) == ("bob", "admin")

    def test_nobody_else_submits_for_another_user(self, alice: Caller) -> None:
        answer = alice.rest.post(
            "submit", {**labels_form("exit 0", "shell", "sh"), "executeUser": "bob"}
        )
        assert (answer.http, answer.status) == (403, 3)

    def test_a_request_id_makes_the_same_job_once(self, alice: Caller) -> None:
        body = {**labels_form("exit 0", "shell", "sh"), "requestID": new_creator()}
        first, second = alice.rest.post("submit", body), alice.rest.post("submit", body)
        assert first.data == second.data
        body["executionContent"]["code"] = "exit 1"
        other = alice.rest.post("submit", body)
        assert (other.http, other.status) == (400, 1)


class TestStatus:
    def test_by_exec_id(self, alice: Caller, ended_job: JobHandle) -> None:
        answer = alice.rest.get(f"{ended_job.exec_id}/status")
        assert answer == Answer(
            http=200,
            method=f"/api/entrance/{ended_job.exec_id}/status",
            status=0,
            message="OK",
            data={**_ids(ended_job), "status": "Succeed"},
        )

    def test_by_task_id(self, alice: Caller, ended_job: JobHandle) -> None:
        answer = alice.rest.get(f"{ended_job.task_id}/status")
        assert answer.method == f"/api/entrance/{ended_job.task_id}/status"
        assert answer.data == {**_ids(ended_job), "status": "Succeed"}

    def test_an_exec_id_that_is_not_known_falls_back_to_the_task_id(
        self, alice: Caller, ended_job: JobHandle
    ) -> None:
        unknown = "exec_id008011entranceold-host:99IDE_alice_0".replace("_0", "_987654321")
        assert alice.rest.get(f"{unknown}/status").http == 400
        answer = alice.rest.get(f"{unknown}/status", taskID=ended_job.task_id)
        assert answer.is_ok
        assert answer.data == {**_ids(ended_job), "status": "Succeed"}

    def test_every_state_has_its_documented_name(self, alice: Caller) -> None:
        creator = new_creator()
        with busy_group(alice, creator) as (running, _):
            waiting = alice.client.submit("exit 0", engine="shell", creator=creator)
            assert _status(alice, waiting) == "Inited"
            assert _status(alice, running) == "Running"
            running.kill()
            assert _status(alice, running) == "Cancelled"
            ended(waiting, JobStatus.SUCCEED)
            assert _status(alice, waiting) == "Succeed"
        failed = alice.client.submit("exit 1", engine="shell")
        ended(failed, JobStatus.FAILED)
        assert _status(alice, failed) == "Failed"


class TestProgress:
    def test_of_an_ended_job(self, alice: Caller) -> None:
        job = alice.client.submit("SELECT 1; SELECT 2; SELECT 3", engine="duckdb")
        ended(job, JobStatus.SUCCEED)
        answer = alice.rest.get(f"{job.exec_id}/progress")
        assert answer.method == f"/api/entrance/{job.exec_id}/progress"
        assert answer.data.keys() == {"progress", "execID", "taskID", "progressInfo"}
        assert answer.data["progress"] == 1.0
        assert isinstance(answer.data["progress"], float)
        assert all(stage.keys() == STAGE for stage in answer.data["progressInfo"])
        done = [stage["succeedTasks"] for stage in answer.data["progressInfo"]]
        assert (sum(done), len(set(_stage_names(answer)))) == (3, len(done))

    def test_of_a_job_that_failed(self, alice: Caller) -> None:
        job = alice.client.submit("SELECT 1; SELECT nothing", engine="duckdb")
        ended(job, JobStatus.FAILED)
        data = alice.rest.get(f"{job.exec_id}/progress").data
        assert data["progress"] == 1.0
        assert sum(stage["failedTasks"] for stage in data["progressInfo"]) == 1

    def test_of_a_running_job_is_below_one(self, alice: Caller, running_job: JobHandle) -> None:
        assert 0 <= alice.rest.get(f"{running_job.exec_id}/progress").data["progress"] < 1

    def test_with_the_resources_of_the_job_s_own_processes(
        self, alice: Caller, running_job: JobHandle
    ) -> None:
        path = f"{running_job.exec_id}/progressWithResource"
        data = until(lambda: _measured(alice.rest.get(path)), "the job is measured")
        assert data.keys() == {"progress", "execID", "taskID", "progressInfo", "yarnMetrics"}
        metrics = data["yarnMetrics"]
        assert metrics.keys() == METRICS
        assert 0 <= metrics["corePercent"] <= 1
        assert 0 < metrics["memoryPercent"] < 1
        for colour in (metrics["coreRGB"], metrics["memoryRGB"]):
            assert re.fullmatch(r"#[0-9a-f]{6}", colour)
        (resource,) = metrics["yarnResource"]
        assert resource.keys() == RESOURCE
        assert resource["applicationId"] == running_job.get().session_id
        assert resource["queueName"] == "shell"
        assert resource["queueMemory"] > 100_000  # bytes
        assert resource["queueInstances"] == 2  # bash and sleep

    def test_without_resources_while_nothing_was_measured(self, alice: Caller) -> None:
        creator = new_creator()
        with busy_group(alice, creator):
            waiting = alice.client.submit("exit 0", engine="shell", creator=creator)
            data = alice.rest.get(f"{waiting.exec_id}/progressWithResource").data
            assert data == {
                **_ids(waiting),
                "progress": 0.0,
                "progressInfo": [],
                "yarnResource": None,
            }
        ended(waiting, JobStatus.SUCCEED)


class TestLog:
    @pytest.mark.parametrize("start", [0, 1, -7])
    @pytest.mark.parametrize("size", [2, 100])
    def test_a_reader_sees_every_line_exactly_once(
        self, alice: Caller, ended_job: JobHandle, start: int, size: int
    ) -> None:
        lines, from_line = list[str](), start
        while page := _log_page(alice, ended_job, from_line, size):
            lines += page[0]
            assert page[1] == max(from_line, 1) + len(page[0])
            from_line = page[1]
        assert lines == texts(ended_job)

    @pytest.mark.parametrize("start", [0, 1])
    def test_a_reader_of_a_running_job_sees_every_line_exactly_once(
        self, alice: Caller, start: int
    ) -> None:
        code = "for i in $(seq 40); do echo line $i; sleep 0.01; done"
        job = alice.client.submit(code, engine="shell", creator=new_creator())
        lines, from_line, over = list[str](), start, False
        while not over:
            over = job.status().is_final  # looked at before the log, so that nothing is missed
            while page := _log_page(alice, job, from_line, 7):
                lines += page[0]
                from_line = page[1]
            time.sleep(0.02)
        assert [line for line in lines if line.startswith("line ")] == [
            f"line {i}" for i in range(1, 41)
        ]
        assert lines == texts(job)

    def test_is_split_into_four_by_level(self, alice: Caller, ended_job: JobHandle) -> None:
        answer = alice.rest.get(f"{ended_job.exec_id}/log", fromLine=0, size=-1)
        assert answer.method == f"/api/entrance/{ended_job.exec_id}/log"
        assert answer.data.keys() == {"log", "execID", "taskID", "fromLine"}
        error, warn, info, everything = answer.data["log"]
        assert error.split("\n") == [
            "2030-01-31 08:00:00 ERROR two",
            "2030-01-31 08:00:00 SYSTEM-ERROR four",
        ]
        assert warn == "2030-01-31 08:00:00.123 WARN three"
        assert [line for line in info.split("\n") if line in ("one", "five")] == ["one", "five"]
        assert all(line.strip() for line in info.split("\n"))
        assert everything.split("\n") == texts(ended_job)
        assert answer.data["fromLine"] == len(texts(ended_job)) + 1

    @pytest.mark.parametrize("value", ["true", "1", "yes", "0", ""])
    def test_only_false_turns_the_split_off(
        self, alice: Caller, ended_job: JobHandle, value: str
    ) -> None:
        path = f"{ended_job.exec_id}/log"
        assert len(alice.rest.get(path, distinctLevel=value).data["log"]) == 4
        one = alice.rest.get(path, distinctLevel="false").data["log"]
        assert one == "\n".join(texts(ended_job))

    def test_the_first_line_names_the_job(self, alice: Caller, ended_job: JobHandle) -> None:
        first = alice.rest.get(f"{ended_job.exec_id}/log", size=1, distinctLevel="false").data[
            "log"
        ]
        assert re.match(
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO Your job is accepted,  "
            rf"jobID is {ended_job.exec_id} and taskID is {ended_job.task_id} in \S+\. ",
            first,
        )

    def test_a_hundred_lines_come_unless_the_caller_says_more(self, alice: Caller) -> None:
        job = alice.client.submit("seq 12000", engine="shell")
        ended(job, JobStatus.SUCCEED)
        assert alice.rest.get(f"{job.exec_id}/log").data["fromLine"] == 101
        assert alice.rest.get(f"{job.exec_id}/log", size=-1).data["fromLine"] == 10_001
        assert alice.rest.get(f"{job.exec_id}/log", size=11_000).data["fromLine"] == 10_001

    @pytest.mark.parametrize("from_line", [1_000, 2**62])
    def test_past_the_end_there_is_no_line(
        self, alice: Caller, ended_job: JobHandle, from_line: int
    ) -> None:
        answer = alice.rest.get(f"{ended_job.exec_id}/log", fromLine=from_line)
        assert answer.is_ok
        assert answer.data["log"] == ["", "", "", ""]
        assert answer.data["fromLine"] == from_line


class TestKill:
    def test_says_so_and_names_the_job(self, alice: Caller, running_job: JobHandle) -> None:
        answer = alice.rest.get(f"{running_job.exec_id}/kill")
        assert answer == Answer(
            http=200,
            method=f"/api/entrance/{running_job.exec_id}/kill",
            status=0,
            message="Successfully killed the job",
            data=_ids(running_job),
        )
        assert _status(alice, running_job) == "Cancelled"

    def test_by_an_unknown_exec_id_falls_back_to_the_task_id(
        self, alice: Caller, running_job: JobHandle
    ) -> None:
        unknown = "exec_id008011entranceold-host:99IDE_alice_987654321"
        answer = alice.rest.get(f"{unknown}/kill", taskID=running_job.task_id)
        assert answer.is_ok
        assert answer.data == _ids(running_job)

    def test_of_an_ended_job_is_refused_and_changes_nothing(
        self, alice: Caller, ended_job: JobHandle
    ) -> None:
        before = ended_job.get(), texts(ended_job)
        answer = alice.rest.get(f"{ended_job.exec_id}/kill")
        assert (answer.http, answer.status) == (400, 1)
        assert "Succeed" in answer.message
        assert (ended_job.get(), texts(ended_job)) == before


class TestKillJobs:
    def test_answers_for_each_job_in_order(
        self, alice: Caller, bob: Caller, ended_job: JobHandle
    ) -> None:
        first, second = _two_running_jobs(alice)
        foreign = bob.client.submit("exit 0", engine="shell")
        ids = [first.exec_id, "nonsense", ended_job.exec_id, foreign.exec_id, str(2**62)]
        ids.append(str(second.task_id))
        answer = alice.rest.post(
            f"{first.exec_id}/killJobs",
            {"idList": ids, "taskIDList": [first.task_id, 0, None, "0", 0, second.task_id]},
        )
        assert answer.is_ok
        assert answer.method == f"/api/entrance/{first.exec_id}/killJobs"
        messages = answer.data["messages"]
        assert [message["method"] for message in messages] == [
            f"/api/entrance/{id}/kill" for id in ids
        ]
        assert [message["status"] for message in messages] == [0, 1, 1, 3, 1, 0]
        assert all(
            message.keys() == {"method", "status", "message", "data"} for message in messages
        )
        assert messages[0]["message"] == "Successfully killed the job"
        assert messages[0]["data"]["execID"] == first.exec_id
        assert messages[5]["data"]["execID"] == second.exec_id
        for job in (first, second):
            assert job.status() is JobStatus.CANCELLED

    @pytest.mark.parametrize("id", ["#1", "strongExecId", "whatever"])
    def test_the_id_in_the_path_is_not_checked(self, alice: Caller, id: str) -> None:
        answer = alice.rest.post(
            f"{id.replace('#', '%23')}/killJobs", {"idList": [], "taskIDList": []}
        )
        assert answer.is_ok
        assert answer.data == {"messages": []}

    def test_unequal_arrays_kill_nothing(self, alice: Caller, running_job: JobHandle) -> None:
        answer = alice.rest.post(
            f"{running_job.exec_id}/killJobs",
            {"idList": [running_job.exec_id], "taskIDList": [running_job.task_id, 1]},
        )
        assert (answer.http, answer.status) == (400, 1)
        assert running_job.status() is JobStatus.RUNNING

    def test_a_task_id_stands_in_for_an_exec_id_that_is_not_known(
        self, alice: Caller, running_job: JobHandle
    ) -> None:
        unknown = "exec_id008011entranceold-host:99IDE_alice_987654321"
        answer = alice.rest.post(
            "any/killJobs", {"idList": [unknown], "taskIDList": [running_job.task_id]}
        )
        assert [message["status"] for message in answer.data["messages"]] == [0]
        assert running_job.status() is JobStatus.CANCELLED


class TestPauseAndResume:
    def test_of_a_running_job(self, alice: Caller, running_job: JobHandle) -> None:
        paused = alice.rest.get(f"{running_job.exec_id}/pause")
        assert paused.is_ok
        assert paused.method == f"/api/entrance/{running_job.exec_id}/pause"
        assert paused.data == _ids(running_job)
        assert running_job.get().paused
        assert _status(alice, running_job) == "Running"
        assert alice.rest.get(f"{running_job.exec_id}/pause").is_ok  # again changes nothing
        resumed = alice.rest.get(f"{running_job.exec_id}/resume")
        assert resumed.is_ok
        assert resumed.method == f"/api/entrance/{running_job.exec_id}/resume"
        assert resumed.data == _ids(running_job)
        assert not running_job.get().paused

    @pytest.mark.parametrize("operation", ["pause", "resume"])
    def test_of_an_ended_job_is_refused(
        self, alice: Caller, ended_job: JobHandle, operation: str
    ) -> None:
        answer = alice.rest.get(f"{ended_job.exec_id}/{operation}")
        assert (answer.http, answer.status) == (400, 1)
        assert "Succeed" in answer.message


@pytest.mark.parametrize("route", JOB_ROUTES, ids=lambda route: route.rpc)
def test_somebody_else_s_job_is_refused(bob: Caller, ended_job: JobHandle, route: Route) -> None:
    for id in (ended_job.exec_id, str(ended_job.task_id)):
        by_rest = route.send(bob.rest, id)
        by_grpc = bob.rpc.refusal(route.rpc, route.request(id))
        assert (by_rest.http, by_rest.status) == (403, 3)
        assert by_grpc.code is grpc.StatusCode.PERMISSION_DENIED
        assert by_rest.message == by_grpc.message


@pytest.mark.parametrize("route", JOB_ROUTES, ids=lambda route: route.rpc)
def test_a_job_that_is_not_there_is_told_of_in_the_same_words(
    bob: Caller, ended_job: JobHandle, route: Route
) -> None:
    unknown = str(2**62)
    by_rest = route.send(bob.rest, unknown)
    foreign = route.send(bob.rest, ended_job.exec_id)
    assert (by_rest.http, by_rest.status) == (400, 1)
    assert by_rest.message.replace(unknown, "") == foreign.message.replace(ended_job.exec_id, "")


@pytest.mark.parametrize("route", ALL_ROUTES, ids=lambda route: route.rpc)
def test_a_call_without_credentials_is_refused(
    service: Service, ended_job: JobHandle, route: Route
) -> None:
    by_rest = route.send(service.nobody.rest, ended_job.exec_id)
    by_grpc = service.nobody.rpc.refusal(route.rpc, route.request(ended_job.exec_id))
    assert (by_rest.http, by_rest.status) == (401, -1)
    assert by_grpc.code is grpc.StatusCode.UNAUTHENTICATED
    assert by_rest.message == by_grpc.message


def test_an_administrator_sees_every_job(service: Service, ended_job: JobHandle) -> None:
    seen = service.admin.rest.get(f"{ended_job.exec_id}/status")
    assert seen.data["status"] == "Succeed"


def _ids(job: JobHandle) -> dict[str, Any]:
    return {"execID": job.exec_id, "taskID": job.task_id}


def _status(caller: Caller, job: JobHandle) -> str:
    status: str = caller.rest.get(f"{job.exec_id}/status").data["status"]
    return status


def _stage_names(answer: Answer) -> list[str]:
    return [stage["id"] for stage in answer.data["progressInfo"]]


def _measured(answer: Answer) -> dict[str, Any] | None:
    resources = answer.data.get("yarnMetrics", {}).get("yarnResource", [])
    return answer.data if resources and resources[0]["queueInstances"] == 2 else None


def _log_page(
    caller: Caller, job: JobHandle, from_line: int, size: int
) -> tuple[list[str], int] | None:
    """The lines of a page and what the next one starts with; None past the end."""
    path = f"{job.exec_id}/log"
    data = caller.rest.get(path, fromLine=from_line, size=size, distinctLevel="false").data
    count = data["fromLine"] - max(from_line, 1)
    return (data["log"].split("\n"), data["fromLine"]) if count else None


def _two_running_jobs(caller: Caller) -> tuple[JobHandle, JobHandle]:
    creator = new_creator()
    first, second = (
        caller.client.submit("sleep 1000", engine="shell", creator=creator) for _ in range(2)
    )
    for job in (first, second):
        became(job, JobStatus.RUNNING)
    return first, second
