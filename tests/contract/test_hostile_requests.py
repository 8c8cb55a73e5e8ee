"""Requests that no well-meaning client sends get their stated refusal, and change nothing.

ENTRANCE_EXAMPLES says how many are made up of each kind.
"""

from __future__ import annotations

import json
import os
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from entrance.client import JobHandle, JobStatus
from tests.support.fields import JSON, LARGE, TEXT, fields_of
from tests.support.jobs import new_creator, said
from tests.support.raw_http import RawAnswer, exchange, request_of
from tests.support.rest import ROOT
from tests.support.routes import Route, routes
from tests.support.service import Caller, Service, end_all_jobs

EXAMPLES = int(os.environ.get("ENTRANCE_EXAMPLES", "100"))
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
BODY_LIMIT = 2 * 1024 * 1024
UNREADABLE = 20010
STATUS = {400: 1, 401: -1, 403: 3, 404: 1, 413: 1}  # the envelope's for each HTTP status
ADMINISTRATION = "/api/rest_j/v1/administration"
COOKIE = "linkis_user_session_ticket_id_v1"
OUR_HEADERS = {
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "retry-after",
    "www-authenticate",
    "x-content-type-options",
}
OLD_NAMES = ["executionCode", "executeApplicationName", "requestApplicationName", "runType"]

# Ids of jobs that are not there, or of none at all.
IDS = st.integers(2**62, 2**63 - 1) | st.integers(2**62, 2**63 - 1).map(str) | TEXT.map("x".__add__)
TEXT_OF_IDS = st.characters(exclude_categories=["Cs"])
HEADER_VALUES = st.binary(max_size=100).filter(
    lambda value: not any(byte in b"\r\n\0" for byte in value)
)

OPEN = ("Login", "GetPublicKey")  # of whose callers no credentials are asked
ROUTES = list(routes())
# without Login, whose attempts are counted, so that a later test's would be refused
POSTED = [route for route in ROUTES if route.verb == "POST" and route.rpc != "Login"]
BY_JOB = [route for route in ROUTES if "{id}" in route.path]
BODY_FIELDS = [
    (route, field) for route in POSTED for field in fields_of(route.asked, without=route.path)
]
QUERY_FIELDS = [
    (route, field)
    for route in ROUTES
    if route.verb == "GET"
    for field in fields_of(route.asked, without=route.path)
    if len(field.path) == 1
    and not field.fits("no value of it")
    and not field.descriptor.is_repeated
]


@pytest.fixture(scope="module")
def dave(service: Service) -> Caller:
    """Who sends all this; he has no job."""
    return service.caller("dave")


@pytest.fixture(scope="module")
def running(service: Service) -> Iterator[JobHandle]:
    """A job of alice's that goes on, whatever others send."""
    end_all_jobs(service)  # of earlier tests, since they would change
    client = service.alice.client
    job = client.submit("echo started; sleep 1000", engine="shell", creator=new_creator())
    said(job, "started")
    yield job
    job.kill()


@pytest.fixture(autouse=True)
def nothing_changes(service: Service, running: JobHandle) -> Iterator[None]:
    before = kept(service)
    yield
    assert kept(service) == before
    assert running.status() is JobStatus.RUNNING


def kept(service: Service) -> Any:
    """What must not change: jobs, users and tokens."""
    admin = service.admin.rest.http
    paths = (f"{ROOT}/jobs?pageSize=1000", f"{ADMINISTRATION}/users", f"{ADMINISTRATION}/tokens")
    return [admin.get(path).raise_for_status().json()["data"] for path in paths]


def send(
    service: Service,
    caller: Caller,
    verb: str,
    target: str | bytes,
    body: bytes = b"",
    **headers: str | bytes,
) -> RawAnswer:
    """Sends a request by the bytes; headers with `_` for `-` replace the caller's own."""
    given: dict[str, str | bytes] = {"Authorization": f"Bearer {caller.token}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return exchange(service.http_port, request_of(verb, target, given, body))


def refused(answer: RawAnswer, *http: int) -> dict[str, Any]:
    """The envelope of a refusal; fails unless it is one of the stated form."""
    told = answer.envelope
    assert answer.status in (http or STATUS), told
    assert told["status"] == STATUS[answer.status]
    assert told["message"]
    assert "Traceback" not in told["message"]
    assert answer.headers.keys() <= OUR_HEADERS
    return told


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


class TestBodies:
    @MANY
    @given(data=st.data())
    def test_a_value_of_a_wrong_type_is_refused_by_its_name(
        self, service: Service, dave: Caller, data: st.DataObject
    ) -> None:
        route, field = data.draw(st.sampled_from(BODY_FIELDS), label="field")
        value = data.draw(JSON.filter(lambda value: not field.fits(value)), label="value")
        answer = send(service, dave, "POST", route.target("1"), encoded(field.body(value)))
        told = refused(answer, 400)
        assert told["data"]["errCode"] == UNREADABLE
        assert told["data"]["violations"][0]["field"].startswith(field.name)

    @MANY
    @given(route=st.sampled_from(POSTED), body=JSON)
    def test_any_json_is_answered(
        self, service: Service, dave: Caller, route: Route, body: Any
    ) -> None:
        answer = send(service, dave, "POST", route.target("dave"), encoded(body))
        if answer.status != 200:
            refused(answer)

    @MANY
    @given(route=st.sampled_from(POSTED), body=st.binary(max_size=200))
    def test_any_bytes_are_answered(
        self, service: Service, dave: Caller, route: Route, body: bytes
    ) -> None:
        answer = send(service, dave, "POST", route.target("dave"), body)
        if answer.status != 200:
            refused(answer)

    @MANY
    @given(
        route=st.sampled_from(POSTED),
        path=st.lists(TEXT, max_size=5),
        key=TEXT,
        values=st.tuples(JSON, JSON),
    )
    def test_a_key_that_is_there_twice_is_refused_wherever_it_is(
        self,
        service: Service,
        dave: Caller,
        route: Route,
        path: list[str],
        key: str,
        values: tuple[Any, Any],
    ) -> None:
        first, second = (f"{json.dumps(key)}: {json.dumps(value)}" for value in values)
        body = f"{{{first}, {second}}}"
        for name in path:
            body = f"{{{json.dumps(name)}: {body}}}"
        told = refused(send(service, dave, "POST", route.target("1"), body.encode()), 400)
        assert told["data"]["errCode"] == UNREADABLE
        assert "twice" in told["message"]

    @MANY
    @given(
        depth=st.integers(1, 200_000),
        brackets=st.sampled_from([("[", "]"), ('{"a":', "}")]),
        at=st.sampled_from(["{}", '{{"x":{}}}', '{{"params":{{"variable":{{"x":{}}}}}}}']),
        closed=st.booleans(),
    )
    def test_deep_nesting_is_refused(
        self,
        service: Service,
        dave: Caller,
        depth: int,
        brackets: tuple[str, str],
        at: str,
        closed: bool,
    ) -> None:
        opening, closing = brackets
        body = at.format(opening * depth + "0" + closing * depth * closed).encode()
        answer = send(service, dave, "POST", f"{ROOT}/submit", body)
        refused(answer, 413 if len(body) > BODY_LIMIT else 400)

    @MANY
    @given(number=LARGE, name=st.sampled_from(["priority", "taskIDList"]))
    def test_a_number_beyond_64_bits_is_refused(
        self, service: Service, dave: Caller, number: int, name: str
    ) -> None:
        body = {"priority": number, "idList": ["1"], "taskIDList": [number]}
        operation = "submit" if name == "priority" else "1/killJobs"
        told = refused(send(service, dave, "POST", f"{ROOT}/{operation}", encoded(body)), 400)
        assert name in told["data"]["violations"][0]["field"]

    @MANY
    @given(name=st.sampled_from(OLD_NAMES), value=JSON)
    def test_a_field_of_the_old_form_must_be_text(
        self, service: Service, dave: Caller, name: str, value: Any
    ) -> None:
        assume(value is not None and not isinstance(value, str))
        body = {"executionCode": "exit 0", name: value}
        told = refused(send(service, dave, "POST", f"{ROOT}/submit", encoded(body)), 400)
        assert told["data"]["violations"][0]["field"] == name


class TestManyIds:
    @MANY
    @given(ids=st.lists(IDS, max_size=50), numbers=st.lists(st.integers(-(2**63), 2**63 - 1)))
    def test_arrays_of_unequal_length_kill_nothing(
        self, service: Service, dave: Caller, ids: list[Any], numbers: list[int]
    ) -> None:
        assume(len(ids) != len(numbers))
        body = encoded({"idList": ids, "taskIDList": numbers})
        told = refused(send(service, dave, "POST", f"{ROOT}/x/killJobs", body), 400)
        assert told["data"]["reason"] == "UNEQUAL_LISTS"

    @MANY
    @given(ids=st.lists(IDS, max_size=50))
    def test_each_id_has_its_own_answer(
        self, service: Service, dave: Caller, running: JobHandle, ids: list[Any]
    ) -> None:
        ids = [*ids, running.exec_id]
        body = encoded({"idList": ids, "taskIDList": [0] * len(ids)})
        answer = send(service, dave, "POST", f"{ROOT}/x/killJobs", body)
        messages = answer.envelope["data"]["messages"]
        assert [one["method"] for one in messages] == [f"/api/entrance/{id}/kill" for id in ids]
        assert [one["status"] for one in messages] == [1] * (len(ids) - 1) + [3]

    def test_more_than_a_thousand_are_refused(self, service: Service, dave: Caller) -> None:
        for count in (1_001, 100_000):
            body = encoded({"idList": ["1"] * count, "taskIDList": [1] * count})
            told = refused(send(service, dave, "POST", f"{ROOT}/x/killJobs", body), 400)
            assert told["data"]["reason"] == "TOO_MANY_IDS"

    def test_a_million_are_too_large(self, service: Service, dave: Caller) -> None:
        body = encoded({"idList": ["1"] * 1_000_000, "taskIDList": [1] * 1_000_000})
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        target = f"{ROOT}/x/killJobs"
        for answer in (
            send(service, dave, "POST", target, body),
            send(service, dave, "POST", target, Content_Length=str(len(body))),
            send(service, dave, "POST", target, chunked, Transfer_Encoding="chunked"),
        ):
            assert "2,097,152 bytes" in refused(answer, 413)["message"]


class TestPaths:
    @MANY
    @given(route=st.sampled_from(BY_JOB), id=st.text(TEXT_OF_IDS, min_size=1, max_size=100))
    @example(route=BY_JOB[0], id="x" * 10_000)
    @example(route=BY_JOB[0], id="9" * 10_000)
    @example(route=BY_JOB[0], id="exec_id" + "9" * 10_000)
    @example(route=BY_JOB[0], id="../../etc/passwd")
    @example(route=BY_JOB[0], id="a/b%2Fc")
    @example(route=BY_JOB[0], id="\r\nSet-Cookie: a=b\r\n\r\n{}")
    def test_an_id_that_is_none_is_refused_as_the_caller_wrote_it(
        self, service: Service, dave: Caller, route: Route, id: str
    ) -> None:
        assume(not id.isdecimal() and id not in (".", ".."))
        answer = send(service, dave, route.verb, route.target(quote(id, safe="")))
        if route.rpc == "KillJobs":
            refused(answer, 400)  # for its body alone
            return
        told = refused(answer, 400)
        assert told["method"] == route.target(id).replace(ROOT, "/api/entrance", 1)
        assert told["data"]["reason"] == "MALFORMED_ID"

    @MANY
    @given(path=st.binary(max_size=100))
    @example(path=b"a" * 70_000)
    @example(path=b"%")
    @example(path=b"%00/status")
    @example(path=b"%zz/status")
    @example(path=b"..%2f..%2fapi/status")
    @example(path=b"\xff\xfe/status")
    def test_any_path_is_answered(self, service: Service, dave: Caller, path: bytes) -> None:
        assume(not any(byte in b"\r\n\0 ?#" for byte in path))
        answer = send(service, dave, "GET", f"{ROOT}/".encode() + path)
        assume(answer.status != 200)
        refused(answer, 400, 404)

    @MANY
    @given(data=st.data())
    def test_a_query_of_a_wrong_type_is_refused_by_its_name(
        self, service: Service, dave: Caller, data: st.DataObject
    ) -> None:
        route, field = data.draw(st.sampled_from(QUERY_FIELDS), label="parameter")
        texts = (TEXT | LARGE.map(str)).filter(lambda text: text and not field.fits(text))
        query = urlencode({field.name: data.draw(texts, label="value")})
        answer = send(service, dave, "GET", f"{route.target('1')}?{query}")
        told = refused(answer, 400)
        assert told["data"]["errCode"] == UNREADABLE
        assert told["data"]["violations"][0]["field"] == field.name


class TestHeaders:
    @MANY
    @given(name=st.sampled_from(["Authorization", "Token_Code", "Token_User"]), value=HEADER_VALUES)
    def test_any_credentials_are_answered(
        self, service: Service, dave: Caller, name: str, value: bytes
    ) -> None:
        refused(
            send(service, dave, "GET", f"{ROOT}/jobs", **{"Authorization": b"", name: value}),
            400,
            401,
        )

    @MANY
    @given(
        name=st.sampled_from(["Cookie", "Last_Event_ID", "Content_Type", "Origin", "X_Other"]),
        value=HEADER_VALUES,
    )
    def test_no_other_header_breaks_an_answer(
        self, service: Service, dave: Caller, running: JobHandle, name: str, value: bytes
    ) -> None:
        target = f"{ROOT}/{running.task_id}/log/stream"
        refused(send(service, dave, "GET", target, **{name: value}), 400, 401, 403)

    @MANY
    @given(
        route=st.sampled_from([route for route in BY_JOB if route.verb == "GET"]),
        text=st.text(st.sampled_from('\r\n: abX"\\/;é\0'), max_size=30),
    )
    def test_no_header_comes_from_what_the_caller_wrote(
        self, service: Service, dave: Caller, route: Route, text: str
    ) -> None:
        id = quote(f"x\r\nX-Injected: yes\r\n{text}", safe="")
        refused(send(service, dave, "GET", route.target(id)), 400)


class TestCredentials:
    @MANY
    @given(
        route=st.sampled_from([route for route in ROUTES if route.rpc not in OPEN]),
        query=st.dictionaries(st.sampled_from(["size", "fromLine", "pageSize", "taskID"]), TEXT),
        body=st.binary(max_size=100),
        token=st.sampled_from(["", "Bearer ent_forged"]),
    )
    def test_a_stranger_is_told_nothing_of_what_else_is_wrong(
        self,
        service: Service,
        dave: Caller,
        route: Route,
        query: dict[str, str],
        body: bytes,
        token: str,
    ) -> None:
        target = f"{route.target('1')}?{urlencode(query)}"
        content = body if route.verb == "POST" else b""
        refused(send(service, dave, route.verb, target, content, Authorization=token), 401)

    @MANY
    @given(data=st.data())
    def test_a_forged_token_is_told_nothing(
        self, service: Service, dave: Caller, running: JobHandle, data: st.DataObject
    ) -> None:
        token = service.alice.token or ""
        at = data.draw(st.integers(0, len(token) - 1), label="at")
        other = data.draw(st.sampled_from(string.ascii_letters + "!#/=~"), label="other")
        forged = data.draw(
            st.sampled_from(
                [
                    token[:at] + other + token[at + 1 :],
                    token[:at],
                    token + other,
                    token.swapcase(),
                    other * len(token),
                ]
            ),
            label="forged",
        )
        assume(forged not in (token, ""))
        target = f"{ROOT}/{running.task_id}/kill"
        answers = [
            send(service, dave, "GET", target, Authorization=f"Bearer {forged}"),
            send(
                service,
                dave,
                "GET",
                target,
                Authorization="",
                Token_Code=forged,
                Token_User="alice",
            ),
            send(service, dave, "GET", target, Authorization="", Cookie=f"{COOKIE}={forged}"),
        ]
        for answer in answers:
            assert refused(answer, 401)["data"]["reason"] == "WRONG_CREDENTIALS"
