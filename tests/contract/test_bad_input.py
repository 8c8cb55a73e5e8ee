"""Bad input gets a clear answer in both protocols, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from entrance.client import JobHandle, JobStatus
from entrance.v1 import entrance_pb2 as pb
from tests.support.jobs import ended
from tests.support.rest import Answer, labels_form
from tests.support.rpc import Refusal, refused
from tests.support.service import Caller, Service

MEBIBYTE = 1024 * 1024
INVALID = grpc.StatusCode.INVALID_ARGUMENT
MALFORMED_IDS = (
    "nonsense",
    "-1",
    "0",
    "1.5",
    "+1",
    "9223372036854775808",  # 2 to the 63rd
    "exec_id",
    "exec_id018018",
    "exec_id008011entrancehost:9104IDE_alice_",
    "exec_id008011entrancehost:9104IDE_alice_x1",
    "exec_id999999entrancehost:9104IDE_alice_1",
    "EXEC_ID008009entrancehost:910IDE_alice_1",
    "x" * 5_000,
    "１２",  # noqa: RUF001 - digits of another script
)


@pytest.fixture(scope="module")
def carol(service: Service) -> Caller:
    return service.caller("carol")


@pytest.fixture(scope="module")
def job(carol: Caller) -> JobHandle:
    """A job with two results of some rows, and another one before it."""
    for _ in range(2):
        job = carol.client.submit("FROM range(10); FROM range(10)", engine="duckdb")
        ended(job, JobStatus.SUCCEED)
    return job


@pytest.fixture(autouse=True)
def nothing_changed(service: Service, job: JobHandle) -> Iterator[None]:
    before = list(service.admin.client.list_jobs())
    yield
    assert list(service.admin.client.list_jobs()) == before


@dataclass(frozen=True)
class Wrong:
    """A submit with one thing wrong, and what the answer must say of it."""

    at: str
    words: str
    err_code: int | None = None
    code: str = "exit 0"
    run_type: str = "shell"
    engine: str = "shell"
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        labels = {"engineType": self.engine, **self.more.get("labels", {})}
        content = {"code": self.code, "runType": self.run_type}
        return {"executionContent": content, **self.more, "labels": labels}

    @property
    def request(self) -> pb.SubmitRequest:
        body = self.body
        params = body.get("params", {})
        return pb.SubmitRequest(
            execution_content=pb.ExecutionContent(code=self.code, run_type=self.run_type),
            labels=body["labels"],
            params=pb.JobParams(variable=params.get("variable", {})),
            request_id=body.get("requestID", ""),
            priority=body.get("priority", 0),
        )


WRONG = {
    "an unknown engine": Wrong(
        "labels.engineType", "duckdb, python, shell", 20004, engine="fortran-77"
    ),
    "no engine": Wrong("labels.engineType", "duckdb, python, shell", 20001, engine=""),
    "a run type of another engine": Wrong(
        "executionContent.runType", "shell, sh", 20004, run_type="sql"
    ),
    "no run type": Wrong("executionContent.runType", "shell, sh", 20001, run_type=""),
    "no code": Wrong("executionContent.code", "blank", 20007, code=""),
    "blank code": Wrong("executionContent.code", "blank", 20007, code=" \n\t \n"),
    "a NUL in the code": Wrong("executionContent.code", "NUL", code="echo \0"),
    "code over the limit": Wrong("executionContent.code", "1048576", code="#" * (MEBIBYTE + 1)),
    "a creator of another user": Wrong(
        "labels.userCreator", "carol", 20004, more={"labels": {"userCreator": "alice-IDE"}}
    ),
    "a creator that is no name": Wrong(
        "labels.userCreator", "letters", 20004, more={"labels": {"userCreator": "carol-../x"}}
    ),
    "a priority out of range": Wrong("priority", "-100 to 100", more={"priority": 101}),
    "a long request id": Wrong("requestID", "128", more={"requestID": "x" * 129}),
    "too many variables": Wrong(
        "params.variable",
        "500",
        20010,
        more={"params": {"variable": {f"v{n}": "" for n in range(501)}}},
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_submit_tells_what_to_change(carol: Caller, wrong: Wrong) -> None:
    by_grpc = carol.rpc.refusal("Submit", wrong.request)
    by_rest = carol.rest.post("submit", wrong.body)
    assert by_grpc.code is INVALID
    assert wrong.words in by_grpc.message
    assert wrong.at in by_grpc.violations
    assert by_grpc.err_code == (str(wrong.err_code) if wrong.err_code else None)
    assert by_rest.http == 400
    _assert_same(by_rest, by_grpc)


@pytest.mark.parametrize(
    ("wrong", "field", "err_code"),
    [
        ({"executeApplicationName": None}, "executeApplicationName", 20001),
        ({"executeApplicationName": "fortran"}, "executeApplicationName", 20004),
        ({"executionCode": " "}, "executionCode", 20007),
        ({"runType": "cobol"}, "runType", 20004),
        ({"requestApplicationName": "../x"}, "requestApplicationName", 20004),
        ({"labels": {"engineType": "fortran"}}, "labels.engineType", 20004),
        ({"params": {"variable": {"": "x"}}}, "params.variable", 20010),
    ],
)
def test_a_submit_in_the_old_form_names_fields_as_its_caller_does(
    carol: Caller, wrong: dict[str, Any], field: str, err_code: int
) -> None:
    body = {"executionCode": "exit 0", "executeApplicationName": "shell", "runType": "sh"}
    answer = carol.rest.post("submit", {**body, **wrong})
    assert (answer.http, answer.status, answer.data["errCode"]) == (400, 1, err_code)
    assert [one["field"] for one in answer.data["violations"]] == [field]
    assert "label" not in answer.message


@pytest.mark.parametrize(
    ("body", "err_code", "words"),
    [
        (b"", 20001, "empty"),
        (b"{", 20010, "line 1"),
        (b"execute this", 20010, "not JSON"),
        (b"[]", 20010, "object"),
        (b'{"labels": NaN}', 20010, "NaN"),
        (b'{"a": 1, "a": 2}', 20010, "twice"),
        (b"[" * 100_000, 20010, ""),
        (b'{"executionContent": "echo"}', 20010, "executionContent"),
        (b'{"executionContent": {"code": 1}}', 20010, "executionContent.code"),
        (b'{"executionContent": {"code": "\xff\xfe"}}', 20010, "UTF-8"),
        (b'{"executionContent": {"code": "\\ud800"}}', 20010, "surrogate"),
        (b'{"executionContent": {}, "labels": []}', 20010, "labels"),
    ],
)
def test_a_body_that_cannot_be_read(carol: Caller, body: bytes, err_code: int, words: str) -> None:
    answer = carol.rest.post("submit", body)
    assert (answer.http, answer.status) == (400, 1)
    assert answer.message.startswith(f"errCode: {err_code} ,desc: ")
    assert answer.data["errCode"] == err_code
    assert words in answer.message


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\xff\xff\xff",
        b"\x0a\x04\x0a\x02\xff\xfe",  # a code that is not UTF-8
    ],
)
def test_a_grpc_message_that_cannot_be_read(carol: Caller, message: bytes) -> None:
    refusal = _send_bytes(carol, message)
    assert refusal.code in (INVALID, grpc.StatusCode.INTERNAL)
    assert "request" in refusal.message


def test_a_body_over_the_limit_by_rest(carol: Caller) -> None:
    body = json.dumps(labels_form("#" * 2 * MEBIBYTE, "shell", "sh")).encode()
    answer = carol.rest.post("submit", body)
    assert (answer.http, answer.status) == (413, 1)
    assert "2,097,152 bytes" in answer.message


def test_a_message_over_the_limit_by_grpc(carol: Caller) -> None:
    content = pb.ExecutionContent(code="#" * 5 * MEBIBYTE, run_type="sh")
    refusal = carol.rpc.refusal("Submit", pb.SubmitRequest(execution_content=content))
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(4 * MEBIBYTE) in refusal.message


@pytest.mark.parametrize("id", MALFORMED_IDS)
def test_a_malformed_id(carol: Caller, id: str) -> None:
    for operation, request in (
        ("status", pb.StatusRequest(id=id)),
        ("log", pb.LogRequest(id=id)),
        ("kill", pb.KillRequest(id=id)),
    ):
        by_grpc = carol.rpc.refusal(operation.title(), request)
        by_rest = carol.rest.get(f"{id}/{operation}")
        assert (by_grpc.code, by_grpc.reason) == (INVALID, "MALFORMED_ID")
        assert by_grpc.violations.keys() == {"id"}
        assert (by_rest.http, by_rest.method) == (400, f"/api/entrance/{id}/{operation}")
        _assert_same(by_rest, by_grpc)


def test_an_id_with_a_slash_is_one_id(carol: Caller) -> None:
    answer = carol.rest.get("..%2F..%2Fetc%2Fpasswd/status")
    assert (answer.http, answer.status) == (400, 1)
    assert answer.data["reason"] == "MALFORMED_ID"


def test_an_id_that_names_no_job(carol: Caller) -> None:
    for id in ("4611686018427387904", "exec_id008009entrancehost:910IDE_carol_4611686018427387904"):
        by_grpc = carol.rpc.refusal("Status", pb.StatusRequest(id=id))
        by_rest = carol.rest.get(f"{id}/status")
        assert by_grpc.code is grpc.StatusCode.NOT_FOUND
        assert by_rest.http == 400
        _assert_same(by_rest, by_grpc)


def test_a_log_request_past_the_end(carol: Caller, job: JobHandle) -> None:
    by_grpc = carol.rpc.call("Log", pb.LogRequest(id=job.exec_id, from_line=10_000))
    by_rest = carol.rest.get(f"{job.exec_id}/log", fromLine=10_000)
    assert list(by_grpc.log) == by_rest.data["log"] == ["", "", "", ""]
    assert by_grpc.from_line == by_rest.data["fromLine"] == 10_000


class TestPages:
    def test_a_token_of_another_query(self, carol: Caller, job: JobHandle) -> None:
        jobs = carol.rpc.call("ListJobs", pb.ListJobsRequest(page_size=1)).next_page_token
        sets = pb.ListResultsRequest(id=job.exec_id, page_size=1)
        results = carol.rpc.call("ListResults", sets).next_page_token
        read = pb.ReadResultRequest(id=job.exec_id, page_size=1)
        rows = carol.rpc.call("ReadResult", read).next_page_token
        assert "" not in (jobs, results, rows)
        id = job.exec_id
        for name, request, path, query in (
            (
                "ListJobs",
                pb.ListJobsRequest(page_token=jobs, creator="Other"),
                "jobs",
                {"pageToken": jobs, "creator": "Other"},
            ),
            (
                "ListResults",
                pb.ListResultsRequest(id=id, page_token=rows),
                f"{id}/results",
                {"pageToken": rows},
            ),
            (
                "ReadResult",
                pb.ReadResultRequest(id=id, index=1, page_token=rows),
                f"{id}/results/1",
                {"pageToken": rows},
            ),
            (
                "ReadResult",
                pb.ReadResultRequest(id=id, page_token=results),
                f"{id}/results/0",
                {"pageToken": results},
            ),
        ):
            by_grpc = carol.rpc.refusal(name, request)
            assert by_grpc.code is INVALID
            assert by_grpc.violations.keys() == {"pageToken"}
            _assert_same(carol.rest.get(path, **query), by_grpc)

    @pytest.mark.parametrize("token", ["nonsense", "AAAA", "é", "x" * 10_000])
    def test_a_token_that_is_none(self, carol: Caller, token: str) -> None:
        by_grpc = carol.rpc.refusal("ListJobs", pb.ListJobsRequest(page_token=token))
        assert by_grpc.code is INVALID
        assert by_grpc.violations.keys() == {"pageToken"}
        _assert_same(carol.rest.get("jobs", pageToken=token), by_grpc)

    def test_a_negative_page_size(self, carol: Caller, job: JobHandle) -> None:
        id = job.exec_id
        for name, request, path in (
            ("ListJobs", pb.ListJobsRequest(page_size=-1), "jobs"),
            ("ListResults", pb.ListResultsRequest(id=id, page_size=-1), f"{id}/results"),
            ("ReadResult", pb.ReadResultRequest(id=id, page_size=-1), f"{id}/results/0"),
        ):
            by_grpc = carol.rpc.refusal(name, request)
            assert by_grpc.code is INVALID
            assert by_grpc.violations.keys() == {"pageSize"}
            _assert_same(carol.rest.get(path, pageSize=-1), by_grpc)


class TestResults:
    @pytest.mark.parametrize("index", [2, -1, 2**31 - 1])
    def test_an_index_without_a_result(self, carol: Caller, job: JobHandle, index: int) -> None:
        read = pb.ReadResultRequest(id=job.exec_id, index=index)
        stream = pb.StreamResultRequest(id=job.exec_id, index=index)
        by_grpc = carol.rpc.refusal("ReadResult", read)
        assert by_grpc.code is grpc.StatusCode.NOT_FOUND
        _assert_same(carol.rest.get(f"{job.exec_id}/results/{index}"), by_grpc)
        assert carol.rpc.refusal("StreamResult", stream) == by_grpc
        _assert_same(carol.rest.get(f"{job.exec_id}/results/{index}/stream"), by_grpc)

    def test_a_negative_offset(self, carol: Caller, job: JobHandle) -> None:
        request = pb.StreamResultRequest(id=job.exec_id, offset=-1)
        by_grpc = carol.rpc.refusal("StreamResult", request)
        assert by_grpc.code is INVALID
        assert by_grpc.violations.keys() == {"offset"}
        _assert_same(carol.rest.get(f"{job.exec_id}/results/0/stream", offset=-1), by_grpc)


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        ("{id}/log", {"fromLine": "x"}, "fromLine"),
        ("{id}/log", {"size": "9999999999"}, "size"),
        ("{id}/status", {"taskID": "1.5"}, "taskID"),
        ("{id}/results/x", {}, "index"),
        ("jobs", {"statuses": "Running,Nonsense"}, "statuses"),
        ("jobs", {"createTimeFrom": "yesterday"}, "createTimeFrom"),
    ],
)
def test_a_query_that_cannot_be_read(
    carol: Caller, job: JobHandle, path: str, query: dict[str, str], name: str
) -> None:
    answer = carol.rest.get(path.format(id=job.exec_id), **query)
    assert (answer.http, answer.status, answer.data["errCode"]) == (400, 1, 20010)
    assert name in answer.message


def test_kill_jobs_with_lists_of_different_length(carol: Caller) -> None:
    request = pb.KillJobsRequest(id="x", id_list=["1", "2"], task_id_list=[1])
    by_grpc = carol.rpc.refusal("KillJobs", request)
    assert by_grpc.code is INVALID
    by_rest = carol.rest.post("x/killJobs", {"idList": ["1", "2"], "taskIDList": [1]})
    _assert_same(by_rest, by_grpc)


def test_kill_jobs_with_too_many_ids(carol: Caller) -> None:
    request = pb.KillJobsRequest(id="x", id_list=["1"] * 1001, task_id_list=[1] * 1001)
    by_grpc = carol.rpc.refusal("KillJobs", request)
    assert by_grpc.code is INVALID
    body = {"idList": ["1"] * 1001, "taskIDList": [1] * 1001}
    _assert_same(carol.rest.post("x/killJobs", body), by_grpc)


def test_a_wrong_token(service: Service) -> None:
    stranger = service.caller_with("ent_wrong")
    by_grpc = stranger.rpc.refusal("ListJobs", pb.ListJobsRequest())
    by_rest = stranger.rest.get("jobs")
    assert by_grpc.code is grpc.StatusCode.UNAUTHENTICATED
    assert by_rest.http == 401
    _assert_same(by_rest, by_grpc)


def _assert_same(answer: Answer, refusal: Refusal) -> None:
    """Fails unless an envelope says what a gRPC error says."""
    assert answer.status == (-1 if refusal.code is grpc.StatusCode.UNAUTHENTICATED else 1)
    told = refusal.message
    if refusal.err_code is not None:
        told = f"errCode: {refusal.err_code} ,desc: {told}"
    assert answer.message == told
    assert str(answer.data.get("errCode", "")) == (refusal.err_code or "")
    assert answer.data.get("reason", "") == refusal.reason
    violations = {one["field"]: one["description"] for one in answer.data.get("violations", ())}
    assert violations == refusal.violations


def _send_bytes(caller: Caller, message: bytes) -> Refusal:
    call: Any = caller.rpc.channel.unary_unary("/entrance.v1.EntranceService/Submit")
    return refused(lambda: call(message, timeout=10, metadata=caller.rpc.metadata))
