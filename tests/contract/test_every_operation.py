"""Every operation tells the same by gRPC and by REST, and lets in the same callers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from entrance.client import JobHandle, JobStatus
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2 as files
from entrance.v1 import history_pb2 as history
from entrance.v1 import operation_pb2 as operation
from entrance.v1 import users_pb2 as users
from tests.support.both import Told, by_grpc, by_rest, masked
from tests.support.identities import PASSWORD, new_user
from tests.support.jobs import busy_group, ended, new_creator
from tests.support.routes import Route, routes
from tests.support.service import Caller, Service
from tests.support.waiting import until

OWNER, OTHER, ADMINISTRATOR, NOBODY = CALLERS = ("owner", "other", "administrator", "nobody")
THOSE_OF_THE_JOB = {OWNER, ADMINISTRATOR}
EVERY_USER = {OWNER, OTHER, ADMINISTRATOR}
EVERYBODY = set(CALLERS)


class World:
    """What operations are asked about: jobs of the owner's, and users and tokens."""

    def __init__(self, service: Service, stack: ExitStack) -> None:
        self.service = service
        self.creator = new_creator()
        code = "SELECT n, concat('row ', n) AS text FROM range(5) r(n); SELECT NULL AS nothing"
        self.ended = service.alice.client.submit(code, engine="duckdb", creator=self.creator)
        ended(self.ended, JobStatus.SUCCEED)
        self._busy = new_creator()
        self._waiting: list[JobHandle] = []
        stack.enter_context(busy_group(service.alice, self._busy))
        stack.callback(self._end)

    def waiting(self) -> JobHandle:
        """A job that waits for its turn, which does not come."""
        client = self.service.alice.client
        self._waiting.append(client.submit("exit 0", engine="shell", creator=self._busy))
        return self._waiting[-1]

    def _end(self) -> None:
        """Kills what still waits, some of it paused."""
        self.service.alice.client.kill_jobs(job.task_id for job in self._waiting)

    def user(self) -> str:
        """Somebody who was just added."""
        return new_user(self.service)

    def token_id(self) -> str:
        """A token that was just made."""
        made = self.service.admin.client.administration.create_token("somebody")
        return str(made.token.token_id)

    @property
    def result(self) -> str:
        """The path of a result."""
        return f"entrance:///{self.ended.task_id}/results/_0.dolphin"


@dataclass(frozen=True)
class Case:
    """How an operation is asked, who may, and what differs each time.

    `counts`: it counts jobs, some of which end meanwhile.
    """

    may: set[str]
    request: Callable[[World], Any]
    differs: set[str] = field(default_factory=set)
    counts: bool = False


def of_job(message: type[Any], **more: Any) -> Case:
    return Case(THOSE_OF_THE_JOB, lambda world: message(id=world.ended.exec_id, **more))


def on_waiting_job(message: type[Any]) -> Case:
    return Case(
        THOSE_OF_THE_JOB, lambda world: message(id=world.waiting().exec_id), {"execID", "taskID"}
    )


def plainly(may: set[str], message: type[Any], *differs: str, **more: Any) -> Case:
    return Case(may, lambda _: message(**more), set(differs))


def counting(message: type[Any], **more: Any) -> Case:
    return Case({ADMINISTRATOR}, lambda _: message(**more), counts=True)


def job_to_run(message: type[Any], *differs: str) -> Case:
    content = pb.ExecutionContent(code="echo ${run_date}", run_type="sh")
    labels = {"engineType": "shell", "route": "north"}
    return plainly(EVERY_USER, message, *differs, execution_content=content, labels=labels)


CASES = {
    "Execute": job_to_run(pb.ExecuteRequest, "execID", "taskID"),
    "Submit": job_to_run(pb.SubmitRequest, "execID", "taskID"),
    "Preview": job_to_run(pb.PreviewRequest),
    "Status": of_job(pb.StatusRequest),
    "Progress": of_job(pb.ProgressRequest),
    "ProgressWithResource": of_job(pb.ProgressWithResourceRequest),
    "Log": of_job(pb.LogRequest, from_line=2, size=3),
    "Kill": on_waiting_job(pb.KillRequest),
    "KillJobs": Case(
        EVERY_USER,
        lambda world: pb.KillJobsRequest(
            id="any",
            id_list=[world.waiting().exec_id, world.ended.exec_id, "nonsense", str(2**62)],
            task_id_list=[0, world.ended.task_id, 0, 1],
        ),
        {"execID", "taskID"},
    ),
    "Pause": on_waiting_job(pb.PauseRequest),
    "Resume": on_waiting_job(pb.ResumeRequest),
    "StreamLog": of_job(pb.StreamLogRequest, from_line=2),
    "StreamProgress": of_job(pb.StreamProgressRequest),
    "WatchJob": of_job(pb.WatchJobRequest),
    "GetJob": of_job(pb.GetJobRequest),
    "ListJobs": Case(EVERY_USER, lambda world: pb.ListJobsRequest(creator=world.creator)),
    "ListResults": of_job(pb.ListResultsRequest, page_size=1),
    "ReadResult": of_job(pb.ReadResultRequest, index=1),
    "StreamResult": of_job(pb.StreamResultRequest),
    "ListEngines": plainly(EVERY_USER, pb.ListEnginesRequest),
    "GetTask": Case(
        THOSE_OF_THE_JOB, lambda world: history.GetTaskRequest(id=str(world.ended.task_id))
    ),
    "ListTasks": Case(
        EVERY_USER,
        lambda world: history.ListTasksRequest(creator=world.creator, status="Succeed,Failed"),
    ),
    "ListUndoneTasks": Case(
        EVERY_USER, lambda world: history.ListUndoneTasksRequest(creator=world.creator)
    ),
    "GetGovernanceStationAdmin": plainly(EVERY_USER, history.GetGovernanceStationAdminRequest),
    "GetDirFileTrees": Case(
        THOSE_OF_THE_JOB,
        lambda world: files.GetDirFileTreesRequest(
            path=f"entrance:///{world.ended.task_id}/results"
        ),
    ),
    "OpenFile": Case(
        THOSE_OF_THE_JOB,
        lambda world: files.OpenFileRequest(path=world.result, page_size=2, page=2),
    ),
    "OpenLog": Case(
        THOSE_OF_THE_JOB,
        lambda world: files.OpenLogRequest(path=f"entrance:///{world.ended.task_id}/log"),
    ),
    "ResultsetToExcel": Case(
        THOSE_OF_THE_JOB, lambda world: files.ResultsetToExcelRequest(path=world.result, limit=3)
    ),
    "Download": Case(THOSE_OF_THE_JOB, lambda world: files.DownloadRequest(path=world.result)),
    "Login": Case(
        EVERYBODY,
        lambda world: users.LoginRequest(user_name=world.user(), password=PASSWORD),
        {"userName"},
    ),
    "Logout": plainly(EVERY_USER, users.LogoutRequest),
    "GetUserInfo": plainly(EVERY_USER, users.GetUserInfoRequest),
    "Heartbeat": plainly(EVERY_USER, users.HeartbeatRequest),
    "GetPublicKey": plainly(EVERYBODY, users.GetPublicKeyRequest),
    "CreateUser": Case(
        {ADMINISTRATOR},
        lambda _: users.CreateUserRequest(name=f"u{secrets.token_hex(4)}", password=PASSWORD),
        {"name", "createTime"},
    ),
    "ListUsers": plainly({ADMINISTRATOR}, users.ListUsersRequest, page_size=1000),
    "SetPassword": Case(
        {ADMINISTRATOR},
        lambda world: users.SetPasswordRequest(name=world.user(), password=PASSWORD[::-1]),
    ),
    "SetUserDisabled": Case(
        {ADMINISTRATOR},
        lambda world: users.SetUserDisabledRequest(name=world.user(), disabled=True),
        {"name", "createTime"},
    ),
    "CreateToken": plainly(
        {ADMINISTRATOR},
        users.CreateTokenRequest,
        *("tokenID", "createTime", "secret"),
        user="somebody",
        for_users=["*"],
        hosts=["10.0.0.0/8"],
    ),
    "ListTokens": plainly({ADMINISTRATOR}, users.ListTokensRequest, page_size=1000),
    "RevokeToken": Case(
        {ADMINISTRATOR}, lambda world: users.RevokeTokenRequest(token_id=world.token_id())
    ),
    "TaskInfo": counting(operation.TaskInfoRequest, user="alice"),
    "RunningTask": counting(operation.RunningTaskRequest),
    "IsOnline": plainly({ADMINISTRATOR}, operation.IsOnlineRequest),
    "MarkOffline": plainly({ADMINISTRATOR}, operation.MarkOfflineRequest),
    "BackOnline": plainly({ADMINISTRATOR}, operation.BackOnlineRequest),
    "ConsumerInfo": counting(operation.ConsumerInfoRequest),
}
ROUTES = list(routes())


@pytest.fixture(scope="module")
def world(service: Service) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(service, stack)


@pytest.fixture
def callers(service: Service) -> dict[str, Caller]:
    known = (service.alice, service.bob, service.admin, service.nobody)
    return dict(zip(CALLERS, known, strict=True))


@pytest.fixture(autouse=True)
def online(service: Service) -> Iterator[None]:
    yield
    service.admin.client.operations.undrain()


def test_there_is_a_case_for_every_operation() -> None:
    assert [route.rpc for route in ROUTES if route.rpc not in CASES] == []
    assert len(ROUTES) == len(CASES)


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.rpc)
def test_both_protocols_tell_the_same(
    world: World, callers: dict[str, Caller], route: Route, who: str
) -> None:
    case, caller = CASES[route.rpc], callers[who]
    first, second = case.request(world), case.request(world)

    def ask() -> tuple[Told, Told]:
        return by_grpc(caller.rpc, route, first), by_rest(caller.rest, route, second)

    def ask_until_unchanged() -> tuple[Told, Told]:
        return until(lambda: _unchanged(ask(), ask()), "no job ends while it is asked")

    told = ask_until_unchanged() if case.counts else ask()
    assert _comparable(told[0], case, first) == _comparable(told[1], case, second)
    assert (told[0].status == 0) == (who in case.may)
    if who not in case.may:
        assert told[0].http == (401 if who == NOBODY else 400 if route.rpc == "GetTask" else 403)


def _unchanged(before: tuple[Told, Told], after: tuple[Told, Told]) -> tuple[Told, Told] | None:
    return after if before == after else None


def _comparable(told: Told, case: Case, request: Any) -> Told:
    """What was told, without the ids that each request has of its own."""
    own = getattr(request, "id", "") or getattr(request, "name", "")
    words = told.words.replace(own, "it") if own else told.words
    return Told(told.http, told.status, masked(told.answer, case.differs), words, told.details)
