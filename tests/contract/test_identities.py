"""Who calls: logins, sessions, tokens and disabled users, by gRPC and by REST alike."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrance.client import Client, JobHandle, JobStatus, NewToken
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import users_pb2
from entrance_gateway.credentials import SESSION_COOKIE
from tests.support.identities import (
    PASSWORD,
    USERS,
    WebClient,
    identity_service,
    new_user,
    rpc_with,
)
from tests.support.jobs import ended, new_creator, said
from tests.support.rest import Answer, labels_form
from tests.support.routes import BODY, Route, routes
from tests.support.service import Service
from tests.support.waiting import until

WRONG = "The user name or the password is wrong."
ALL_ROUTES = list(routes())
OPEN = {"Login", "GetPublicKey"}
ENTRANCE = "/entrance"


def for_each(asked: Iterable[Route]) -> pytest.MarkDecorator:
    """A case for each operation."""
    return pytest.mark.parametrize("route", list(asked), ids=lambda one: f"{one.service}.{one.rpc}")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with identity_service() as service:
        yield service


@pytest.fixture
def user(service: Service) -> str:
    return new_user(service)


@pytest.fixture
def web(service: Service) -> Iterator[WebClient]:
    with WebClient(service) as client:
        yield client


def who_by_grpc(service: Service, **metadata: str) -> tuple[str, bool]:
    """Who a caller is, as gRPC tells him."""
    rpc = rpc_with(service, **metadata)
    answer = rpc.invoke(USERS["GetUserInfo"], users_pb2.GetUserInfoRequest())
    return answer.user_name, answer.is_admin


def code_by_grpc(service: Service, **metadata: str) -> grpc.StatusCode:
    """How a caller is refused by gRPC."""
    rpc = rpc_with(service, **metadata)
    return rpc.refusal_of(USERS["GetUserInfo"], users_pb2.GetUserInfoRequest()).code


def log_in_by_grpc(service: Service, name: str, password: str = PASSWORD) -> Any:
    request = users_pb2.LoginRequest(user_name=name, password=password)
    return rpc_with(service).invoke(USERS["Login"], request)


def is_unauthenticated(answer: Answer) -> bool:
    return (answer.http, answer.status) == (401, -1)


class TestLogin:
    def test_it_tells_the_same_by_both_protocols(
        self, service: Service, web: WebClient, user: str
    ) -> None:
        before = datetime.now(UTC)
        by_rest = web.log_in(user)
        by_grpc = log_in_by_grpc(service, user)
        assert by_rest.is_ok
        assert by_rest.data == {
            "userName": user,
            "isAdmin": False,
            "loginNum": 1,
            "lastLoginTime": 0,
            "isFirstLogin": True,
            "enableWatermark": False,
            "sessionTimeOut": 6 * 60 * 60 * 1000,
        }
        assert (by_grpc.user_name, by_grpc.login_num, by_grpc.is_first_login) == (user, 2, False)
        assert by_grpc.session_time_out == by_rest.data["sessionTimeOut"]
        last = by_grpc.last_login_time / 1000
        assert before.timestamp() - 1 <= last <= datetime.now(UTC).timestamp()

    def test_an_administrator_logs_in_as_one(self, service: Service, web: WebClient) -> None:
        name = new_user(service, is_admin=True)
        assert web.log_in(name).data["isAdmin"] is True
        assert web.get("/administration/users").is_ok

    def test_the_session_counts_in_both_protocols(
        self, service: Service, web: WebClient, user: str
    ) -> None:
        web.log_in(user)
        assert web.ticket is not None
        assert who_by_grpc(service, session_ticket=web.ticket) == (user, False)
        web.ticket = log_in_by_grpc(service, user).session_ticket
        assert web.get("/user/userInfo").data == {"userName": user, "isAdmin": False}
        assert web.get("/user/heartbeat").data == {"userName": user}

    def test_a_job_is_submitted_as_who_logged_in(self, web: WebClient, user: str) -> None:
        web.log_in(user)
        submitted = web.post(f"{ENTRANCE}/submit", labels_form("exit 0", "shell", "sh"))
        job = web.get(f"{ENTRANCE}/{submitted.data['taskID']}/job").data["job"]
        assert (job["submitUser"], job["executeUser"]) == (user, user)
        assert job["source"]["requestIP"] == web.address

    @pytest.mark.parametrize("known", [True, False])
    def test_wrong_ones_do_not_tell_whether_there_is_such_a_user(
        self, service: Service, web: WebClient, user: str, known: bool
    ) -> None:
        name = user if known else "nobody"
        by_rest = web.log_in(name, "wrong password")
        request = users_pb2.LoginRequest(user_name=name, password="wrong password")
        by_grpc = rpc_with(service).refusal_of(USERS["Login"], request)
        assert is_unauthenticated(by_rest)
        assert by_rest.message == by_grpc.message == WRONG
        assert by_rest.data == {"reason": by_grpc.reason}
        assert by_grpc.code is grpc.StatusCode.UNAUTHENTICATED
        assert web.ticket is None

    @pytest.mark.parametrize("known", [True, False])
    def test_too_many_wrong_ones_have_to_wait_in_both_protocols(
        self, service: Service, web: WebClient, user: str, known: bool
    ) -> None:
        name = user if known else f"{user}-unknown"
        for _ in range(3):
            assert is_unauthenticated(web.log_in(name, "wrong password"))
        body = {"userName": name, "password": PASSWORD}
        by_rest = web.send("POST", "/user/login", json=body)
        request = users_pb2.LoginRequest(user_name=name, password=PASSWORD)
        by_grpc = rpc_with(service).refusal_of(USERS["Login"], request)
        assert (by_rest.status_code, by_rest.json()["status"]) == (429, 1)
        assert 0 < int(by_rest.headers["retry-after"]) <= 300
        assert "wrong logins by this user name; try again in" in by_rest.json()["message"]
        assert (by_grpc.code, by_grpc.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "TOO_MANY_ATTEMPTS",
        )

    def test_a_password_may_come_encrypted_as_java_clients_do(
        self, web: WebClient, user: str
    ) -> None:
        told = web.get("/user/publicKey").data
        assert (told["enableLoginEncrypt"], told["debugLogin"]) == (True, False)
        key = serialization.load_der_public_key(base64.b64decode(told["publicKey"]))
        assert isinstance(key, rsa.RSAPublicKey)
        encrypted = base64.b64encode(key.encrypt(PASSWORD.encode(), padding.PKCS1v15())).decode()
        assert web.log_in(user, encrypted, passwdEncrypt=True).is_ok
        assert web.log_in(user, PASSWORD, passwdEncrypt=True).http == 400

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"userName": "alice"},
            {"password": PASSWORD},
            {"userName": "", "password": ""},
            {"userName": "a\0b", "password": "\0"},
            {"userName": "ä" * 10_000, "password": "x" * 100_000},
        ],
    )
    def test_what_can_not_be_a_login_is_a_wrong_one(
        self, web: WebClient, body: dict[str, str]
    ) -> None:
        answer = web.post("/user/login", body)
        assert is_unauthenticated(answer)
        assert answer.message == WRONG

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"userName": 1, "password": "x"}, "userName"),
            ({"userName": "x", "password": ["x"]}, "password"),
            ({"userName": "x", "password": "x", "passwdEncrypt": 1}, "passwdEncrypt"),
        ],
    )
    def test_a_field_of_a_wrong_type_is_named(
        self, web: WebClient, body: dict[str, Any], field: str
    ) -> None:
        answer = web.post("/user/login", body)
        assert (answer.http, answer.data["errCode"]) == (400, 20010)
        assert [wrong["field"] for wrong in answer.data["violations"]] == [field]


class TestSession:
    def test_a_logout_ends_it_in_both_protocols(
        self, service: Service, web: WebClient, user: str
    ) -> None:
        web.log_in(user)
        ticket = web.ticket
        assert ticket is not None
        assert web.send("POST", "/user/logout").status_code == 200  # without a body
        assert web.ticket is None
        web.ticket = ticket
        assert is_unauthenticated(web.get("/user/userInfo"))
        assert code_by_grpc(service, session_ticket=ticket) is grpc.StatusCode.UNAUTHENTICATED

    def test_a_logout_beside_a_token_ends_it_too(
        self, service: Service, web: WebClient, user: str
    ) -> None:
        ticket = log_in_by_grpc(service, user).session_ticket
        token = service.admin.client.administration.create_token(user)
        rpc = rpc_with(service, authorization=f"Bearer {token.secret}", session_ticket=ticket)
        rpc.invoke(USERS["Logout"], users_pb2.LogoutRequest())
        assert code_by_grpc(service, session_ticket=ticket) is grpc.StatusCode.UNAUTHENTICATED

    def test_a_new_password_ends_all_of_them(
        self, service: Service, web: WebClient, user: str
    ) -> None:
        other = log_in_by_grpc(service, user).session_ticket
        web.log_in(user)
        path = f"/administration/users/{user}/password"
        assert web.post(path, {"password": "another password"}).is_ok
        assert is_unauthenticated(web.get("/user/userInfo"))
        assert code_by_grpc(service, session_ticket=other) is grpc.StatusCode.UNAUTHENTICATED
        assert is_unauthenticated(web.log_in(user))
        assert web.log_in(user, "another password").is_ok

    def test_it_survives_a_restart_of_server_and_gateway(
        self, service: Service, web: WebClient, user: str
    ) -> None:
        web.log_in(user)
        service.restart_server()
        service.restart_gateway()
        answer = until(lambda: web.get("/user/userInfo"), "the service answers again")
        assert answer.data["userName"] == user

    def test_another_site_can_not_use_it(self, web: WebClient, user: str) -> None:
        web.log_in(user)
        hostile = {"Origin": "http://hostile.example", "Sec-Fetch-Site": "cross-site"}
        for path in ("/user/userInfo", f"{ENTRANCE}/1/kill", f"{ENTRANCE}/1/status"):
            answer = web.get(path, **hostile)
            assert (answer.http, answer.status) == (403, 3)
        assert web.post("/user/logout", None, **hostile).http == 403
        assert web.get("/user/userInfo").is_ok


class TestTokens:
    def make(self, service: Service, user: str, **options: Any) -> NewToken:
        return service.admin.client.administration.create_token(user, **options)

    def test_a_bearer_is_its_user_in_both_protocols(self, service: Service, web: WebClient) -> None:
        secret = self.make(service, "robot").secret
        bearer = f"Bearer {secret}"
        assert who_by_grpc(service, authorization=bearer) == ("robot", False)
        assert web.get("/user/userInfo", Authorization=bearer).data["userName"] == "robot"

    def test_a_services_token_acts_for_its_users_in_both_protocols(
        self, service: Service, web: WebClient, user: str
    ) -> None:
        secret = self.make(service, "robot", for_users=[user]).secret
        for name in (user, "robot"):
            assert who_by_grpc(service, token_code=secret, token_user=name) == (name, False)
            pair = {"Token-Code": secret, "Token-User": name}
            assert web.get("/user/userInfo", **pair).data["userName"] == name
        pair = {"Token-Code": secret, "Token-User": "somebody"}
        assert is_unauthenticated(web.get("/user/userInfo", **pair))
        refused = code_by_grpc(service, token_code=secret, token_user="somebody")
        assert refused is grpc.StatusCode.UNAUTHENTICATED

    def test_an_administrators_rights_do_not_go_to_others(
        self, service: Service, web: WebClient
    ) -> None:
        secret = self.make(service, "admin", is_admin=True, for_users=["*"]).secret
        assert who_by_grpc(service, token_code=secret, token_user="admin") == ("admin", True)
        assert who_by_grpc(service, token_code=secret, token_user="alice") == ("alice", False)
        answer = web.get("/administration/users", **{"Token-Code": secret, "Token-User": "alice"})
        assert (answer.http, answer.status) == (403, 3)

    def test_it_is_accepted_from_its_hosts_alone(self, service: Service) -> None:
        secret = self.make(service, "robot", hosts=["10.7.0.0/16"]).secret
        bearer = {"Authorization": f"Bearer {secret}"}
        with WebClient(service, address="10.7.1.2") as inside:
            assert inside.get("/user/userInfo", **bearer).is_ok
        with WebClient(service, address="10.8.1.2") as outside:
            assert is_unauthenticated(outside.get("/user/userInfo", **bearer))
        refused = code_by_grpc(service, authorization=bearer["Authorization"])
        assert refused is grpc.StatusCode.UNAUTHENTICATED  # from this machine

    def test_expired_revoked_and_forged_ones_are_told_in_one_wording(
        self, service: Service, web: WebClient
    ) -> None:
        soon = datetime.now(UTC) + timedelta(seconds=1)
        expiring = self.make(service, "robot", expire_time=soon)
        revoked = self.make(service, "robot")
        service.admin.client.administration.revoke_token(revoked.token.token_id)
        secrets = [expiring.secret, revoked.secret, "ent_forged", revoked.secret[:-1]]

        def refusals() -> list[Answer] | None:
            asked = [
                web.get("/user/userInfo", Authorization=f"Bearer {secret}") for secret in secrets
            ]
            return asked if all(is_unauthenticated(one) for one in asked) else None

        told = until(refusals, "the token expires")
        assert len({(one.message, one.data["reason"]) for one in told}) == 1
        codes = {code_by_grpc(service, authorization=f"Bearer {one}") for one in secrets}
        assert codes == {grpc.StatusCode.UNAUTHENTICATED}

    def test_a_revocation_breaks_a_stream_off(self, service: Service, web: WebClient) -> None:
        made = self.make(service, "robot")
        caller = service.caller_with(made.secret)
        job = caller.client.submit("echo started; sleep 1000", engine="shell")
        said(job, "started")
        events = caller.rest.events(f"{job.exec_id}/log/stream")
        followed = caller.rpc.call("StreamLog", pb.StreamLogRequest(id=job.exec_id))
        assert next(events).name == "log"
        assert next(followed).chunks
        service.admin.client.administration.revoke_token(made.token.token_id)
        last = list(events)[-1]
        assert (last.name, last.data["status"]) == ("error", -1)
        with pytest.raises(grpc.RpcError) as refused:
            list(followed)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        service.admin.client.kill_jobs([job.task_id])

    def test_the_first_of_several_credentials_decides(
        self, service: Service, web: WebClient, user: str
    ) -> None:
        web.log_in(user)
        bearer = self.make(service, "robot").secret
        pair = {"Token-Code": self.make(service, "carol").secret, "Token-User": "carol"}
        names = [
            web.get("/user/userInfo", **{**pair, "Authorization": f"Bearer {bearer}"}),
            web.get("/user/userInfo", **pair),
            web.get("/user/userInfo"),
        ]
        assert [answer.data["userName"] for answer in names] == ["robot", "carol", user]
        assert is_unauthenticated(web.get("/user/userInfo", Authorization="Bearer wrong"))
        assert is_unauthenticated(web.get("/user/userInfo", **{"Token-User": "carol"}))


class TestDisabledUser:
    @pytest.fixture
    def job(self, service: Service, user: str) -> JobHandle:
        token = service.admin.client.administration.create_token(user)
        client = service.caller_with(token.secret).client
        code = "echo started; until [ -e ../go-on ]; do sleep 0.05; done; echo done"
        job = client.submit(code, engine="shell", creator=new_creator())
        said(job, "started")
        return job

    def test_he_is_refused_at_once_while_his_job_goes_on(
        self, service: Service, web: WebClient, user: str, job: JobHandle
    ) -> None:
        admin = service.admin.client
        own: Client = job._client
        robot = admin.administration.create_token("robot", for_users=["*"]).secret
        pair = {"Token-Code": robot, "Token-User": user}
        web.log_in(user)
        ticket = web.ticket or ""
        events = service.caller_with(own._settings.token).rest.events(f"{job.exec_id}/log/stream")
        assert next(events).name == "log"

        assert admin.administration.disable_user(user).disabled
        for headers in ({}, pair, {"Authorization": f"Bearer {own._settings.token}"}):
            for path in ("/user/userInfo", f"{ENTRANCE}/{job.exec_id}/status"):
                assert is_unauthenticated(web.get(path, **headers))
        assert code_by_grpc(service, session_ticket=ticket) is grpc.StatusCode.UNAUTHENTICATED
        assert is_unauthenticated(web.log_in(user))
        assert list(events)[-1].name == "error"

        seen = admin.job(job.exec_id)
        assert seen.status() is JobStatus.RUNNING
        (service.session_directory(seen) / "go-on").touch()
        ended(seen, JobStatus.SUCCEED)

        admin.administration.enable_user(user)
        assert job.status() is JobStatus.SUCCEED
        assert is_unauthenticated(web.get("/user/userInfo"))  # his session has ended
        assert web.log_in(user).is_ok

    def test_nobody_submits_for_him(self, service: Service, user: str) -> None:
        service.admin.client.administration.disable_user(user)
        body = labels_form("exit 0", "shell", "sh") | {"executeUser": user}
        by_rest = service.admin.rest.post("submit", body)
        content = pb.ExecutionContent(code="exit 0", run_type="sh")
        request = pb.SubmitRequest(
            execution_content=content, labels={"engineType": "shell"}, execute_user=user
        )
        by_grpc = service.admin.rpc.refusal("Submit", request)
        assert (by_rest.http, by_rest.status) == (403, 3)
        assert by_grpc.code is grpc.StatusCode.PERMISSION_DENIED
        assert by_rest.message == by_grpc.message

    def test_nobody_disables_himself(self, service: Service) -> None:
        path = "/administration/users/admin/disabled"
        with WebClient(service, Authorization=f"Bearer {service.admin.token}") as web:
            answer = web.post(path, {"disabled": True})
            assert (answer.http, answer.data["reason"]) == (400, "OWN_USER")


def ask(web: WebClient, route: Route, **headers: str) -> httpx.Response:
    path = route.target("1").removeprefix("/api/rest_j/v1")
    for name in ("name", "token_id"):
        path = path.replace(f"{{{name}}}", "somebody")
    body = BODY if route.verb == "POST" else None
    return web.send(route.verb, path, json=body, headers=headers)


@for_each(route for route in ALL_ROUTES if route.rpc not in OPEN)
def test_an_operation_needs_credentials(service: Service, web: WebClient, route: Route) -> None:
    response = ask(web, route)
    refusal = rpc_with(service).refusal_of(route.method, route.request_class())
    assert (response.status_code, response.json()["status"]) == (401, -1)
    assert refusal.code is grpc.StatusCode.UNAUTHENTICATED
    assert response.json()["message"] == refusal.message
    assert response.json()["data"] == {"reason": "NO_CREDENTIALS"}


@for_each(ALL_ROUTES)
def test_an_operation_refuses_a_cookie_from_another_site(web: WebClient, route: Route) -> None:
    web.ticket = "whatever"
    response = ask(web, route, Origin="http://hostile.example")
    assert (response.status_code, response.json()["status"]) == (403, 3)
    assert response.json()["data"]["reason"] == "CROSS_SITE"


@for_each(routes("AdministrationService"))
def test_administration_is_for_administrators_alone(
    service: Service, web: WebClient, route: Route
) -> None:
    response = ask(web, route, Authorization=f"Bearer {service.alice.token}")
    refusal = service.alice.rpc.refusal_of(route.method, route.request_class())
    assert (response.status_code, response.json()["status"]) == (403, 3)
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert response.json()["message"] == refusal.message


header = st.text(st.characters(codec="latin-1", min_codepoint=33, exclude_characters="\x7f"))


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(["Authorization", "Token-Code", "Token-User", "Cookie", "X-Forwarded-For"]),
        header | header.map(lambda value: f"Bearer {value}x") | header.map(SESSION_COOKIE.__add__),
    )
)
def test_credentials_of_any_shape_are_refused_and_nothing_worse(
    web: WebClient, headers: dict[str, str]
) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    response = web.send("GET", "/user/userInfo", headers=raw)
    assert (response.status_code, response.json()["status"]) in ((401, -1), (403, 3))
