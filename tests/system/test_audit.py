"""The audit log of a running service: who did what to which job, and who was refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from entrance.client import JobHandle, JobStatus
from entrance.v1 import entrance_pb2 as pb
from entrance_server.rpc.audit import ANONYMOUS_MOST
from tests.support.identities import PASSWORD, WebClient, new_user
from tests.support.jobs import became, new_creator
from tests.support.service import Caller, Service
from tests.support.waiting import until

ENDLESS = "sleep 1000"


def entries(service: Service, **wanted: object) -> list[dict[str, Any]]:
    """The entries that have all of some values."""
    path = service.data_dir / "audit.log"
    lines = path.read_text().splitlines() if path.is_file() else ()
    found = [json.loads(line) for line in lines]
    return [one for one in found if wanted.items() <= one.items()]


def several(service: Service, count: int, **wanted: object) -> list[dict[str, Any]]:
    """The entries that have all of some values, once there are so many."""

    def found() -> list[dict[str, Any]] | None:
        there = entries(service, **wanted)
        return there if len(there) >= count else None

    return until(found, f"{count} entries {wanted}")


def entry(service: Service, **wanted: object) -> dict[str, Any]:
    """The only entry that has all of some values, once it is there."""
    (found,) = until(lambda: entries(service, **wanted), f"the entry {wanted}")
    return found


def _until_anonymous_calls_are_told_again(service: Service) -> None:
    """The log's measure of anonymous calls is shared with the tests that follow."""
    before = len(entries(service, action="Kill", user=""))

    def told() -> bool:
        service.nobody.rpc.refusal("Kill", pb.KillRequest(id="434343"))
        return len(entries(service, action="Kill", user="")) > before

    until(told, "a call without credentials is told again")


@pytest.fixture
def alice(service: Service) -> Caller:
    return service.alice


@pytest.fixture
def job(alice: Caller) -> JobHandle:
    """A job that runs until it is killed."""
    job = alice.client.submit(ENDLESS, engine="shell", creator=new_creator())
    became(job, JobStatus.RUNNING)
    return job


class TestWhatIsDoneToAJob:
    def test_is_told_with_caller_time_and_place(self, service: Service, job: JobHandle) -> None:
        before = datetime.now(UTC)
        job.pause()
        told = entry(service, job=job.task_id, action="Pause")
        assert abs((datetime.fromisoformat(told["time"]) - before).total_seconds()) < 60
        assert told["outcome"] == "OK"
        assert told["user"] == "alice"
        assert told["by"].startswith("token ")
        assert told["address"] == "127.0.0.1"
        job.kill()

    def test_is_told_by_the_number_of_the_job_whatever_id_was_sent(
        self, service: Service, alice: Caller, job: JobHandle
    ) -> None:
        for id in (job.exec_id, str(job.task_id)):
            alice.rpc.call("Pause", pb.PauseRequest(id=id))
            alice.rest.get(f"{id}/resume")
        for action in ("Pause", "Resume"):
            assert len(several(service, 2, job=job.task_id, action=action)) == 2
        job.kill()
        assert entry(service, job=job.task_id, action="Submit")["outcome"] == "OK"
        assert entry(service, job=job.task_id, action="Kill")["user"] == "alice"

    def test_is_told_for_each_of_several(
        self, service: Service, alice: Caller, job: JobHandle
    ) -> None:
        alice.client.kill_jobs([job.task_id, "999999999"])
        assert entry(service, job=job.task_id, action="KillJobs")["outcome"] == "OK"
        assert entry(service, job=999_999_999, action="KillJobs")["outcome"] == "NOT_FOUND"

    def test_is_told_when_it_does_not_succeed(
        self, service: Service, alice: Caller, job: JobHandle
    ) -> None:
        job.kill()
        alice.rpc.refusal("Kill", pb.KillRequest(id=job.exec_id))
        told = entry(service, job=job.task_id, action="Kill", outcome="FAILED_PRECONDITION")
        assert told["reason"] == "JOB_ENDED"

    def test_tells_no_code_and_no_parameter(self, service: Service, job: JobHandle) -> None:
        job.kill()
        entry(service, job=job.task_id, action="Kill")
        assert ENDLESS not in (service.data_dir / "audit.log").read_text()

    def test_is_not_told_when_it_only_reads(self, service: Service, job: JobHandle) -> None:
        job.status()
        job.get()
        list(job.log().lines)
        job.kill()
        entry(service, job=job.task_id, action="Kill")
        assert {one["action"] for one in entries(service, job=job.task_id)} == {"Submit", "Kill"}


class TestWhoIsRefused:
    def test_is_told_whatever_he_asked_for(self, service: Service, job: JobHandle) -> None:
        bob = service.bob
        bob.rpc.refusal("Status", pb.StatusRequest(id=job.exec_id))
        bob.rest.get(f"{job.task_id}/kill")
        for action in ("Status", "Kill"):
            told = entry(service, job=job.task_id, action=action, user="bob")
            assert (told["outcome"], told["reason"]) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
        job.kill()

    def test_is_told_without_a_name_when_nobody_knows_him(self, service: Service) -> None:
        stranger = service.caller_with("ent_wrong")
        wanted = {"action": "ListEngines", "outcome": "UNAUTHENTICATED"}
        before = len(entries(service, **wanted) or ())
        stranger.rpc.refusal("ListEngines", pb.ListEnginesRequest())
        told = several(service, before + 1, **wanted)[-1]
        assert told["user"] == ""
        assert told["reason"] == "WRONG_CREDENTIALS"
        assert told["address"] == "127.0.0.1"

    def test_can_not_fill_the_log_by_asking_often(self, service: Service) -> None:
        request = pb.ResumeRequest(id="434343").SerializeToString()
        resume: Any = service.nobody.rpc.channel.unary_unary("/entrance.v1.EntranceService/Resume")
        before, asked = len(entries(service)), 20 * ANONYMOUS_MOST
        calls = [resume.future(request) for _ in range(asked)]
        assert {call.code() for call in calls} == {grpc.StatusCode.UNAUTHENTICATED}
        until(lambda: entries(service, action="Resume", user=""), "some are told")
        assert len(entries(service)) - before < asked // 2
        _until_anonymous_calls_are_told_again(service)


class TestIdentities:
    def test_logins_are_told_by_their_name(self, service: Service) -> None:
        name = new_user(service)
        with WebClient(service) as web:
            web.log_in(name, "wrong " + PASSWORD)
            web.log_in(name)
            web.post("/user/logout")
        told = {
            (one["action"], one["outcome"])
            for one in (
                entry(service, action="Login", target=name, outcome="UNAUTHENTICATED"),
                entry(service, action="Login", target=name, outcome="OK"),
                entry(service, action="Logout", user=name),
            )
        }
        assert told == {("Login", "UNAUTHENTICATED"), ("Login", "OK"), ("Logout", "OK")}
        assert entry(service, action="Logout", user=name)["by"] == "session"

    def test_a_password_typed_as_the_name_is_not_told(self, service: Service) -> None:
        before = len(entries(service, action="Login"))
        with WebClient(service) as web:
            web.log_in("secret-Pass_1")
        refused = several(service, before + 1, action="Login")[-1]
        assert "target" not in refused
        assert "secret-Pass_1" not in (service.data_dir / "audit.log").read_text()

    def test_administration_is_told_with_whom_it_is_about(self, service: Service) -> None:
        name = new_user(service)
        admin = service.admin.client.administration
        admin.disable_user(name)
        token = admin.create_token(name, for_users=["x"], hosts=["10.0.0.0/8"])
        admin.revoke_token(token.token.token_id)
        created = entry(service, action="CreateUser", target=name)
        assert (created["user"], created["admin"]) == ("admin", True)
        assert entry(service, action="SetUserDisabled", target=name)["disabled"] is True
        made = entry(service, action="CreateToken", target=name)
        assert (made["for_users"], made["hosts"]) == (["x"], ["10.0.0.0/8"])
        assert made["token_id"] == token.token.token_id
        assert entry(service, action="RevokeToken", token_id=token.token.token_id)


def test_nobody_but_the_owner_may_read_it(service: Service) -> None:
    until((service.data_dir / "audit.log").exists, "there is one")
    assert (service.data_dir / "audit.log").stat().st_mode & 0o777 == 0o600


def test_a_log_that_can_not_be_written_keeps_nobody_from_his_work(own_service: Service) -> None:
    path = own_service.data_dir / "audit.log"
    path.unlink(missing_ok=True)
    path.mkdir()
    job = own_service.alice.client.submit("echo hello", engine="shell", creator=new_creator())
    assert job.wait().status is JobStatus.SUCCEED
    told = own_service.server.output
    until(lambda: "audit log not written" in told.read_text(), "the service's own log says so")
    path.rmdir()
    assert entry(own_service, job=job.task_id, action="Submit")["outcome"] == "OK"
