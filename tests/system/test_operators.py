"""Operators look into a server, drain it, and limit groups; a server that stops takes no jobs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from entrance.client import (
    AsyncClient,
    Client,
    JobCounts,
    JobHandle,
    JobStatus,
    LimitReached,
    PermissionDenied,
    Retries,
    Unavailable,
)
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import operation_pb2
from tests.support.jobs import became, busy_group, ended, log_lines, new_creator, printed, said
from tests.support.rest import Answer
from tests.support.service import HOST, SETTINGS, Caller, Service, running_service
from tests.support.waiting import PATIENCE, until

ACTIONS = ("label/markoffline", "label/backonline")
QUESTIONS = ("metrics/taskinfo", "metrics/runningtask", "label/isOnline", "consumer/info")
METHODS = list(operation_pb2.DESCRIPTOR.services_by_name["OperationService"].methods)


def ask(caller: Caller, path: str, **query: str) -> Answer:
    return caller.rest.get(f"operation/{path}", **query)


def submit_once(service: Service) -> JobHandle:
    """Submits without the client's own retries."""
    with Client(
        f"{HOST}:{service.grpc_port}", token=service.alice.token, retries=Retries(calls=0)
    ) as client:
        return client.submit("exit 0", engine="shell", run_type="shell")


class TestQuestions:
    def test_jobs_are_counted_by_user_creator_and_engine(self, service: Service) -> None:
        creator = new_creator()
        with busy_group(service.alice, creator):
            waiting = service.alice.client.submit("exit 0", engine="shell", creator=creator)
            waiting.pause()
            counts = ask(
                service.admin, "metrics/taskinfo", user="alice", creator=creator, engineTypeLabel=""
            )
            assert counts.data == {"taskNumber": 3, "waitingNumber": 1, "runningNumber": 2}
            for query in ({"user": "bob"}, {"engineTypeLabel": "python-3"}, {"creator": "other"}):
                other = ask(service.admin, "metrics/taskinfo", **{"creator": creator, **query})
                assert other.data == {"taskNumber": 0, "waitingNumber": 0, "runningNumber": 0}
            by_client = service.admin.client.operations.count_jobs(
                creator=creator, engine="shell-5.2"
            )
            assert (by_client.total, by_client.waiting, by_client.running) == (3, 1, 2)
            waiting.kill()

    def test_groups_tell_what_they_have_and_may_have(self, service: Service) -> None:
        creator = new_creator()
        with busy_group(service.alice, creator):
            infos = ask(service.admin, "consumer/info").data["consumerInfo"]
        assert {
            "user": "alice",
            "creator": creator,
            "engineType": "shell",
            "running": 2,
            "waiting": 0,
            "maxRunning": 2,
            "maxWaiting": 1000,
        } in infos

    def test_grpc_rest_and_command_answer_alike(self, service: Service) -> None:
        with busy_group(service.alice, new_creator()):
            counts = service.admin.client.operations.count_jobs()
            by_rest = ask(service.admin, "metrics/taskinfo").data
            running = ask(service.admin, "metrics/runningtask").data
            (by_command,) = service.admin.command.json("load")
            groups = ask(service.admin, "consumer/info").data
        assert by_rest == {
            "taskNumber": counts.total,
            "waitingNumber": counts.waiting,
            "runningNumber": counts.running,
        }
        assert running == {"runningNumber": counts.total, "isCompleted": False}
        assert by_command == {"isOnline": True, **by_rest, **groups}


class TestPermission:
    @pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
    def test_a_caller_who_is_no_administrator_is_refused_by_grpc(
        self, alice: Caller, method: MethodDescriptor
    ) -> None:
        refusal = alice.rpc.refusal_of(method, GetMessageClass(method.input_type)())
        assert refusal.code is grpc.StatusCode.PERMISSION_DENIED

    @pytest.mark.parametrize("path", [*QUESTIONS, *ACTIONS])
    def test_a_caller_who_is_no_administrator_is_refused_by_rest(
        self, alice: Caller, path: str
    ) -> None:
        answer = ask(alice, path)
        assert (answer.http, answer.status) == (403, 3)

    @pytest.mark.parametrize("path", [*QUESTIONS, *ACTIONS])
    def test_a_caller_without_credentials_is_not_logged_in(
        self, service: Service, path: str
    ) -> None:
        answer = ask(service.nobody, path)
        assert (answer.http, answer.status) == (401, -1)

    def test_the_client_raises_it(self, alice: Caller) -> None:
        with pytest.raises(PermissionDenied):
            alice.client.operations.drain()

    @pytest.mark.parametrize("path", ACTIONS)
    def test_a_head_request_does_not_act(self, service: Service, path: str) -> None:
        answer = service.admin.rest.http.head(f"/api/rest_j/v1/entrance/operation/{path}")
        assert answer.status_code == 405


class TestDrain:
    @pytest.fixture
    def drained(self, own_service: Service) -> Service:
        """A drained service, in which a job runs and another one waits."""
        with_group = own_service.alice.client
        for _ in range(2):
            said(with_group.submit("echo started; sleep 1000", engine="shell"), "started")
        with_group.submit("exit 0", engine="shell")
        own_service.admin.client.operations.drain()
        return own_service

    def test_new_jobs_are_refused_and_told_what_to_do(self, drained: Service) -> None:
        with pytest.raises(Unavailable, match=r"takes no new jobs.*offline") as refused:
            submit_once(drained)
        assert refused.value.reason == "OFFLINE"
        answer = drained.alice.rest.submit("exit 0", "shell", "sh")
        assert (answer.http, answer.status) == (503, 1)
        assert answer.message == refused.value.message
        response = drained.alice.rest.http.post(
            "/api/rest_j/v1/entrance/submit",
            json={
                "executionContent": {"code": "exit 0", "runType": "sh"},
                "labels": {"engineType": "shell"},
            },
        )
        assert int(response.headers["Retry-After"]) > 0

    def test_jobs_that_it_has_go_on(self, drained: Service) -> None:
        waiting, *running = drained.alice.client.list_jobs()
        for job in running:
            assert job.status is JobStatus.RUNNING
            drained.alice.client.job(job.task_id).kill()
        ended(drained.alice.client.job(waiting.task_id), JobStatus.SUCCEED)
        completed = ask(drained.admin, "metrics/runningtask").data
        assert completed == {"runningNumber": 0, "isCompleted": True}

    def test_it_stays_drained_after_a_restart_until_it_is_taken_back(
        self, drained: Service
    ) -> None:
        assert ask(drained.admin, "label/isOnline").data == {"isOnline": False}
        drained.restart_server()
        assert ask(drained.admin, "label/isOnline").data == {"isOnline": False}
        with pytest.raises(Unavailable):
            submit_once(drained)
        assert ask(drained.admin, "label/backonline").is_ok
        assert ask(drained.admin, "label/isOnline").data == {"isOnline": True}
        submit_once(drained)
        drained.restart_server()
        submit_once(drained)

    def test_a_request_that_made_its_job_before_is_answered_with_it(
        self, own_service: Service
    ) -> None:
        client = own_service.alice.client
        made = client.submit("exit 0", engine="shell", request_id="r")
        own_service.admin.client.operations.drain()
        assert client.submit("exit 0", engine="shell", request_id="r").task_id == made.task_id

    async def test_an_operator_drains_by_the_client_for_asyncio(self, own_service: Service) -> None:
        token = own_service.admin.token
        async with AsyncClient(f"{HOST}:{own_service.grpc_port}", token=token) as client:
            await client.operations.drain()
            assert not await client.operations.is_online()
            await client.operations.undrain()
            assert await client.operations.is_online()
            assert await client.operations.count_jobs() == JobCounts(0, 0, 0)
            assert await client.operations.groups() == ()

    def test_an_operator_drains_by_the_command_line(self, own_service: Service) -> None:
        command = own_service.admin.command
        assert command.json("drain") == [{"isOnline": False}]
        assert command.ok("load").lines[0] == "offline: 0 run, 0 wait"
        assert command.ok("undrain").lines == ["online"]
        assert command.ok("load").lines[0] == "online: 0 run, 0 wait"


class TestGroupLimits:
    @pytest.fixture
    def limited(self) -> Iterator[Service]:
        """A service in which some groups have limits of their own."""
        limits = '[{"user": "al*", "creator": "etl", "running": 1, "waiting": 1}]'
        with running_service({**SETTINGS, "ENTRANCE_GROUP_LIMITS": limits}) as service:
            yield service

    def test_the_first_rule_that_fits_limits_a_group(self, limited: Service) -> None:
        def submit(caller: Caller, creator: str) -> JobHandle:
            return caller.client.submit("echo started; sleep 1000", engine="shell", creator=creator)

        said(submit(limited.alice, "etl"), "started")
        second = submit(limited.alice, "etl")
        refusal = limited.alice.rpc.refusal(
            "Submit",
            pb.SubmitRequest(
                execution_content=pb.ExecutionContent(code="exit 0", run_type="shell"),
                labels={"engineType": "shell", "creator": "etl"},
            ),
        )
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1 jobs wait already" in refusal.message
        for caller, creator in ((limited.bob, "etl"), (limited.alice, "IDE")):
            for _ in range(2):
                said(submit(caller, creator), "started")
        assert second.status() is JobStatus.INITED

    def test_a_full_queue_still_answers_a_request_that_made_its_job_before(
        self, limited: Service
    ) -> None:
        def submit(request_id: str) -> JobHandle:
            return limited.alice.client.submit(
                "sleep 1000", engine="shell", creator="etl", request_id=request_id
            )

        became(submit("a"), JobStatus.RUNNING)
        waiting = submit("b")
        assert submit("b").task_id == waiting.task_id
        with pytest.raises(LimitReached):
            submit("c")


class TestStop:
    def test_a_server_that_stops_takes_no_job_and_finishes_the_calls_that_it_has(
        self, own_service: Service
    ) -> None:
        code = "trap 'echo asked' TERM; echo started; while :; do sleep 1; done"
        stubborn = own_service.alice.client.submit(code, engine="shell")
        said(stubborn, "started")
        with ThreadPoolExecutor(1) as other:
            kill = other.submit(stubborn.kill)
            said(stubborn, "asked")
            own_service.server.process.send_signal(signal.SIGTERM)
            until(lambda: refused_as_unavailable(own_service), "submits are refused")
            kill.result()
        assert own_service.server.process.wait(PATIENCE) == 0
        own_service.start_server()
        assert stubborn.status() is JobStatus.CANCELLED

    def test_a_follower_goes_on_with_the_next_server(self, own_service: Service) -> None:
        marker = own_service.directory / "go on"
        code = f"echo one; until [ -e '{marker}' ]; do sleep 0.05; done; echo two"
        job = own_service.alice.client.submit(code, engine="shell")
        with ThreadPoolExecutor(1) as other:
            following = other.submit(lambda: list(job.follow_log()))
            said(job, "one")
            assert own_service.server.stop() == 0
            own_service.start_server()
            marker.touch()
            assert following.result(PATIENCE) == log_lines(job)
        assert printed(job) == ["one", "two"]


def refused_as_unavailable(service: Service) -> bool:
    try:
        submit_once(service).kill()
    except Unavailable:
        return True
    return False
