"""Users and tokens, managed by gRPC, by REST and by the command line alike."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest

from entrance.client import AlreadyExists, AsyncClient, Client, NotFound, Unauthenticated
from entrance.v1 import users_pb2 as pb
from tests.support.answers import normal
from tests.support.identities import ADMINISTRATION, PASSWORD, new_user
from tests.support.rest import Answer, answer_of
from tests.support.rpc import Refusal
from tests.support.service import HOST, Caller, Service

BASE = "/api/rest_j/v1/administration"


@pytest.fixture
def admin(service: Service) -> Caller:
    return service.admin


@pytest.fixture
def name() -> str:
    return f"user{secrets.token_hex(4)}"


def get(caller: Caller, path: str, **query: Any) -> Answer:
    return answer_of(caller.rest.http.get(BASE + path, params=query))


def post(caller: Caller, path: str, body: Any = None) -> Answer:
    return answer_of(caller.rest.http.post(BASE + path, json=body))


def invoke(caller: Caller, rpc: str, request: Any) -> Any:
    return caller.rpc.invoke(ADMINISTRATION[rpc], request)


def refusal(caller: Caller, rpc: str, request: Any) -> Refusal:
    return caller.rpc.refusal_of(ADMINISTRATION[rpc], request)


def assert_same(answer: Answer, refused: Refusal, *, http: int = 400) -> None:
    """Fails unless an envelope says what a gRPC error says."""
    assert (answer.http, answer.status) == (http, 3 if http == 403 else 1)
    assert (answer.message, answer.data["reason"]) == (refused.message, refused.reason)
    wrong = {one["field"]: one["description"] for one in answer.data.get("violations", ())}
    assert wrong == refused.violations


def works(service: Service, secret: str) -> bool:
    try:
        service.caller_with(secret).client.engines()
    except Unauthenticated:
        return False
    return True


def listed(caller: Caller, command: str, key: str, value: str) -> dict[str, Any]:
    (found,) = [one for one in caller.command.json(command, "list") if one[key] == value]
    return found


class TestUsers:
    def test_an_added_user_is_the_same_on_every_way(self, admin: Caller, name: str) -> None:
        request = pb.CreateUserRequest(name=name, password=PASSWORD)
        by_grpc = normal(invoke(admin, "CreateUser", request).user)
        assert by_grpc == {
            "name": name,
            "isAdmin": False,
            "disabled": False,
            "createTime": by_grpc["createTime"],
        }
        users = get(admin, "/users", pageSize=1_000).data["users"]
        by_rest = normal([user for user in users if user["name"] == name])
        assert by_rest == [by_grpc] == [normal(listed(admin, "user", "name", name))]
        (by_client,) = [user for user in admin.client.administration.users() if user.name == name]
        assert by_client.create_time == by_grpc["createTime"]
        assert by_client.last_login_time is None

    @pytest.mark.parametrize("way", ["grpc", "rest", "command", "client"])
    def test_an_administrator_is_added_on_every_way(
        self, admin: Caller, name: str, way: str
    ) -> None:
        if way == "grpc":
            request = pb.CreateUserRequest(name=name, password=PASSWORD, is_admin=True)
            invoke(admin, "CreateUser", request)
        elif way == "rest":
            body = {"name": name, "password": PASSWORD, "isAdmin": True}
            assert post(admin, "/users", body).data["user"]["isAdmin"] is True
        elif way == "command":
            arguments = ("user", "add", name, "--admin", "--password-stdin")
            done = admin.command.ok(*arguments, input=f"{PASSWORD}\n".encode())
            assert done.text == f"added {name}\n"
        else:
            assert admin.client.administration.create_user(name, PASSWORD, is_admin=True).is_admin
        (user,) = [one for one in admin.client.administration.users() if one.name == name]
        assert user.is_admin

    def test_a_name_that_is_taken(self, admin: Caller, service: Service) -> None:
        name = new_user(service)
        body: dict[str, Any] = {"name": name, "password": PASSWORD}
        by_grpc = refusal(admin, "CreateUser", pb.CreateUserRequest(**body))
        assert by_grpc.code is grpc.StatusCode.ALREADY_EXISTS
        assert_same(post(admin, "/users", body), by_grpc)
        with pytest.raises(AlreadyExists):
            admin.client.administration.create_user(**body)
        done = admin.command.run("user", "add", name, "--password-stdin", input=PASSWORD.encode())
        assert (done.code, by_grpc.message in done.stderr) == (1, True)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"name": "no name", "password": PASSWORD}, "name"),
            ({"name": "", "password": PASSWORD}, "name"),
            ({"name": "fine", "password": "short"}, "password"),
        ],
    )
    def test_a_user_that_can_not_be(self, admin: Caller, body: dict[str, Any], field: str) -> None:
        by_grpc = refusal(admin, "CreateUser", pb.CreateUserRequest(**body))
        assert by_grpc.code is grpc.StatusCode.INVALID_ARGUMENT
        assert by_grpc.violations.keys() == {field}
        assert_same(post(admin, "/users", body), by_grpc)

    def test_users_are_listed_in_pages(self, admin: Caller, service: Service) -> None:
        made = {new_user(service) for _ in range(3)}
        names: list[str] = []
        token = ""
        while True:
            page = get(admin, "/users", pageSize=2, pageToken=token).data
            names += [user["name"] for user in page["users"]]
            token = page["nextPageToken"]
            if not token:
                break
        assert names == sorted(names)
        assert made | {"admin"} <= set(names)
        by_grpc = refusal(admin, "ListUsers", pb.ListUsersRequest(page_token="nonsense"))
        assert_same(get(admin, "/users", pageToken="nonsense"), by_grpc)
        by_grpc = refusal(admin, "ListUsers", pb.ListUsersRequest(page_size=-1))
        assert_same(get(admin, "/users", pageSize=-1), by_grpc)

    @pytest.mark.parametrize("way", ["rest", "command", "client"])
    def test_a_password_is_set_on_every_way(
        self, admin: Caller, service: Service, way: str
    ) -> None:
        name = new_user(service)
        if way == "rest":
            assert post(admin, f"/users/{name}/password", {"password": "another one"}).is_ok
        elif way == "command":
            arguments = ("user", "passwd", name, "--password-stdin")
            done = admin.command.ok(*arguments, input=b"another one\r\n")
            assert done.text == f"password set for {name}\n"
        else:
            admin.client.administration.set_password(name, "another one")
        login = {"userName": name, "password": "another one"}
        # a client of its own, since the shared one would keep the cookie for later tests
        with httpx.Client(base_url=service.nobody.rest.http.base_url) as http:
            assert http.post("/api/rest_j/v1/user/login", json=login).json()["status"] == 0

    def test_a_user_sets_his_own_password_and_no_other(
        self, admin: Caller, service: Service
    ) -> None:
        name, other = new_user(service), new_user(service)
        secret = admin.client.administration.create_token(name).secret
        own = service.caller_with(secret)
        own.client.administration.set_password(name, "another one")
        request = pb.SetPasswordRequest(name=other, password="another one")
        by_grpc = refusal(own, "SetPassword", request)
        assert by_grpc.code is grpc.StatusCode.PERMISSION_DENIED
        body = {"password": "another one"}
        assert_same(post(own, f"/users/{other}/password", body), by_grpc, http=403)

    def test_a_user_is_disabled_and_enabled_on_every_way(
        self, admin: Caller, service: Service
    ) -> None:
        name = new_user(service)
        secret = admin.client.administration.create_token(name).secret
        body: dict[str, Any] = {"disabled": True}
        assert post(admin, f"/users/{name}/disabled", body).data["user"]["disabled"] is True
        assert not works(service, secret)
        assert admin.command.ok("user", "enable", name).text == f"enabled {name}\n"
        assert works(service, secret)
        assert admin.command.json("user", "disable", name)[0]["disabled"] is True
        assert not works(service, secret)
        request = pb.SetUserDisabledRequest(name=name, disabled=False)
        assert not invoke(admin, "SetUserDisabled", request).user.disabled
        assert works(service, secret)

    def test_a_user_who_is_not_there(self, admin: Caller, name: str) -> None:
        by_grpc = refusal(admin, "SetUserDisabled", pb.SetUserDisabledRequest(name=name))
        assert by_grpc.code is grpc.StatusCode.NOT_FOUND
        assert_same(post(admin, f"/users/{name}/disabled", {}), by_grpc)
        request = pb.SetPasswordRequest(name=name, password=PASSWORD)
        by_grpc = refusal(admin, "SetPassword", request)
        assert by_grpc.code is grpc.StatusCode.NOT_FOUND
        assert_same(post(admin, f"/users/{name}/password", {"password": PASSWORD}), by_grpc)
        with pytest.raises(NotFound):
            admin.client.administration.disable_user(name)


class TestTokens:
    def test_a_token_is_the_same_on_every_way(self, admin: Caller, name: str) -> None:
        expire_time = datetime.now(UTC) + timedelta(days=1)
        body = {
            "user": name,
            "forUsers": ["bob", "*"],
            "hosts": ["127.0.0.0/8", "::1"],
            "expireTime": expire_time.isoformat().replace("+00:00", "Z"),
        }
        made = post(admin, "/tokens", body).data
        by_rest = normal(made["token"])
        assert by_rest == {
            **body,
            "tokenID": made["token"]["tokenID"],
            "isAdmin": False,
            "createTime": by_rest["createTime"],
            "expireTime": expire_time,
        }
        tokens = invoke(admin, "ListTokens", pb.ListTokensRequest(page_size=1_000)).tokens
        by_grpc = normal([token for token in tokens if token.user == name])
        assert by_grpc == [by_rest] == [normal(listed(admin, "token", "user", name))]
        (by_client,) = [one for one in admin.client.administration.tokens() if one.user == name]
        assert (by_client.for_users, by_client.expire_time) == (("bob", "*"), expire_time)
        assert made["secret"] not in get(admin, "/tokens", pageSize=1_000).data["tokens"]

    @pytest.mark.parametrize("way", ["grpc", "rest", "command", "client"])
    def test_its_secret_identifies_its_user(
        self, service: Service, admin: Caller, name: str, way: str
    ) -> None:
        if way == "grpc":
            secret = invoke(admin, "CreateToken", pb.CreateTokenRequest(user=name)).secret
        elif way == "rest":
            secret = post(admin, "/tokens", {"user": name}).data["secret"]
        elif way == "command":
            done = admin.command.ok("token", "create", "--user", name)
            (secret,) = done.lines  # alone on stdout
            assert f"of {name}; keep the secret" in done.stderr
        else:
            secret = admin.client.administration.create_token(name).secret
        job = service.caller_with(secret).client.submit("exit 0", engine="shell")
        assert job.get().execute_user == name

    def test_the_command_makes_one_as_its_options_say(self, admin: Caller, name: str) -> None:
        options = ("--for-users", "bob, carol", "--hosts", "10.0.0.0/8,::1", "--expires", "30d")
        (made,) = admin.command.json("token", "create", "--user", name, *options)
        assert made["forUsers"] == ["bob", "carol"]
        assert made["hosts"] == ["10.0.0.0/8", "::1"]
        assert made["secret"].startswith("ent_")
        left = datetime.fromisoformat(made["expireTime"]) - datetime.now(UTC)
        assert timedelta(days=29) < left <= timedelta(days=30)

    def test_an_administrators_token_is_for_administrators(
        self, service: Service, admin: Caller, name: str
    ) -> None:
        root = new_user(service, is_admin=True)
        secret = admin.command.ok("token", "create", "--user", root, "--admin").lines[0]
        service.caller_with(secret).client.administration.create_user(name, PASSWORD)
        request = pb.CreateTokenRequest(user=name, is_admin=True)
        by_grpc = refusal(admin, "CreateToken", request)
        assert by_grpc.violations.keys() == {"isAdmin"}
        assert_same(post(admin, "/tokens", {"user": name, "isAdmin": True}), by_grpc)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "user"),
            ({"user": "a b"}, "user"),
            ({"user": "bob", "forUsers": ["a b"]}, "forUsers"),
            ({"user": "bob", "hosts": ["example.org"]}, "hosts"),
        ],
    )
    def test_a_token_that_can_not_be(self, admin: Caller, body: dict[str, Any], field: str) -> None:
        names = {"forUsers": "for_users"}
        fields = {names.get(key, key): value for key, value in body.items()}
        by_grpc = refusal(admin, "CreateToken", pb.CreateTokenRequest(**fields))
        assert by_grpc.code is grpc.StatusCode.INVALID_ARGUMENT
        assert by_grpc.violations.keys() == {field}
        assert_same(post(admin, "/tokens", body), by_grpc)

    @pytest.mark.parametrize("time", ["2020-01-01T00:00:00Z", "yesterday", 5])
    def test_an_end_that_can_not_be(self, admin: Caller, time: Any) -> None:
        answer = post(admin, "/tokens", {"user": "bob", "expireTime": time})
        assert (answer.http, answer.status) == (400, 1)
        assert [wrong["field"] for wrong in answer.data["violations"]] == ["expireTime"]

    @pytest.mark.parametrize("way", ["grpc", "rest", "command", "client"])
    def test_a_token_is_revoked_on_every_way(
        self, service: Service, admin: Caller, name: str, way: str
    ) -> None:
        made = admin.client.administration.create_token(name)
        id = made.token.token_id
        assert works(service, made.secret)
        if way == "grpc":
            invoke(admin, "RevokeToken", pb.RevokeTokenRequest(token_id=id))
        elif way == "rest":
            assert answer_of(admin.rest.http.post(f"{BASE}/tokens/{id}/revoke")).is_ok
        elif way == "command":
            assert admin.command.ok("token", "revoke", id).text == f"revoked {id}\n"
        else:
            admin.client.administration.revoke_token(id)
        assert not works(service, made.secret)
        by_grpc = refusal(admin, "RevokeToken", pb.RevokeTokenRequest(token_id=id))
        assert by_grpc.code is grpc.StatusCode.NOT_FOUND
        assert_same(post(admin, f"/tokens/{id}/revoke"), by_grpc)
        assert admin.command.run("token", "revoke", id).code == 1


class TestCommand:
    def test_what_is_listed_is_a_table_for_people(self, admin: Caller, service: Service) -> None:
        name = new_user(service)
        users = [line.split("\t") for line in admin.command.ok("user", "list").lines]
        assert users[0] == ["NAME", "ADMIN", "STATE", "ADDED", "LAST LOGIN"]
        assert [name, "no", "enabled"] in [row[:3] for row in users]
        admin.client.administration.create_token(name, for_users=["bob", "*"])
        tokens = [line.split("\t") for line in admin.command.ok("token", "list").lines]
        assert [name, "no", "bob, *"] in [row[1:4] for row in tokens]

    @pytest.mark.parametrize(
        ("arguments", "input", "told"),
        [
            (("user", "add", "x"), b"", "use --password-stdin"),
            (("user", "passwd", "x", "--password-stdin"), b"\xff\xfe", "not UTF-8"),
            (("token", "create", "--user", "x", "--expires", "soon"), b"", "'soon' is neither"),
            (("token", "create", "--user", "x", "--expires", "9" * 9 + "w"), b"", "is neither"),
            (("token", "create"), b"", "--user"),
        ],
    )
    def test_wrong_usage_says_what_is_wrong(
        self, admin: Caller, arguments: tuple[str, ...], input: bytes, told: str
    ) -> None:
        done = admin.command.run(*arguments, input=input)
        assert done.code == 2
        assert told in done.stderr

    def test_who_may_not_is_told_so(self, service: Service) -> None:
        done = service.alice.command.run("user", "list")
        assert (done.code, done.stdout) == (5, b"")
        assert "for administrators alone" in done.stderr


async def test_the_client_for_asyncio_does_the_same(service: Service, name: str) -> None:
    target = f"{HOST}:{service.grpc_port}"
    async with AsyncClient(target, token=service.admin.token) as client:
        it = client.administration
        user = await it.create_user(name, PASSWORD)
        assert user in [one async for one in it.users()]
        await it.set_password(name, "another one")
        assert (await it.disable_user(name)).disabled
        assert not (await it.enable_user(name)).disabled
        made = await it.create_token(name, for_users=["bob"])
        assert made.token in [one async for one in it.tokens()]
        await it.revoke_token(made.token.token_id)
        with pytest.raises(NotFound):
            await it.revoke_token(made.token.token_id)
    with Client(target, token=made.secret) as revoked, pytest.raises(Unauthenticated):
        revoked.engines()
