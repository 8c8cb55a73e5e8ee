"""Logins by REST: the cookie, who may send it, and the address that a call comes from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http.cookies import Morsel, SimpleCookie

import grpc
import httpx
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2

from entrance.v1 import users_pb2 as pb
from entrance_gateway.credentials import SESSION_COOKIE
from tests.contract.rest_gateway import failure, parts, rest, running, says, service

USER = "/api/rest_j/v1/user"
JOB = "/api/rest_j/v1/entrance/7"
LOGIN = {"userName": "alice", "password": "correct horse"}
OPENED = pb.LoginResponse(
    user_name="alice",
    is_admin=True,
    login_num=3,
    last_login_time=1_700_000_000_000,
    session_time_out=21_600_000,
    session_ticket="the-ticket",
)
COOKIE = {"Cookie": f"{SESSION_COOKIE}=the-ticket"}
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": "http://gateway"}
HOSTILE = {"Sec-Fetch-Site": "cross-site", "Origin": "http://hostile.example"}
WRONG = failure(grpc.StatusCode.UNAUTHENTICATED, "The password is wrong.", reason="WRONG_PASSWORD")


def cookie_of(response: httpx.Response) -> Morsel[str]:
    (header,) = response.headers.get_list("set-cookie")
    return SimpleCookie(header)[SESSION_COOKIE]


def attributes(cookie: Morsel[str]) -> tuple[object, ...]:
    return cookie["path"], cookie["httponly"], cookie["samesite"].lower(), cookie["domain"]


async def test_a_login_gives_the_ticket_as_a_cookie_alone() -> None:
    async with service({"Login": says(OPENED)}) as it, rest(it.port) as client:
        response = await client.post(f"{USER}/login", json=LOGIN)
    assert it.request == pb.LoginRequest(user_name="alice", password="correct horse")
    assert response.json() == {
        "method": "/api/rest_j/v1/user/login",
        "status": 0,
        "message": "OK",
        "data": {
            "userName": "alice",
            "isAdmin": True,
            "loginNum": 3,
            "lastLoginTime": 1_700_000_000_000,
            "isFirstLogin": False,
            "enableWatermark": False,
            "sessionTimeOut": 21_600_000,
        },
    }
    cookie = cookie_of(response)
    assert cookie.value == "the-ticket"
    assert attributes(cookie) == ("/", True, "strict", "")
    assert "the-ticket" not in response.text


@pytest.mark.parametrize(
    ("changes", "headers", "secure"),
    [
        ({}, {}, False),
        ({"https": True}, {}, True),
        ({}, {"X-Forwarded-Proto": "https"}, False),
        ({"trusted_proxies": ["127.0.0.1"]}, {"X-Forwarded-Proto": "https"}, True),
    ],
)
async def test_the_cookie_is_secure_where_the_caller_came_by_tls(
    changes: dict[str, object], headers: dict[str, str], secure: bool
) -> None:
    async with service({"Login": says(OPENED)}) as it, rest(it.port, **changes) as client:
        response = await client.post(f"{USER}/login", json=LOGIN, headers=headers)
    assert bool(cookie_of(response)["secure"]) is secure


async def test_a_login_that_is_refused_gives_no_cookie() -> None:
    async with service({"Login": says(error=WRONG)}) as it, rest(it.port) as client:
        response = await client.post(f"{USER}/login", json=LOGIN)
    assert parts(response)[:3] == (401, -1, "The password is wrong.")
    assert "set-cookie" not in response.headers


async def test_too_many_wrong_logins_are_429_until_the_time_that_is_told() -> None:
    error = failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "Wait.", reason="TOO_MANY_ATTEMPTS")
    retry, detail = error_details_pb2.RetryInfo(), any_pb2.Any()
    retry.retry_delay.FromTimedelta(timedelta(seconds=172.5))
    detail.Pack(retry)
    error.details.append(detail)
    async with service({"Login": says(error=error)}) as it, rest(it.port) as client:
        response = await client.post(f"{USER}/login", json=LOGIN)
    assert parts(response)[:3] == (429, 1, "Wait.")
    assert response.headers["retry-after"] == "173"


async def test_the_cookie_identifies_later_calls() -> None:
    async with service({"Login": says(OPENED)}) as it, rest(it.port) as client:
        client.cookies.set(SESSION_COOKIE, "the-ticket")
        await client.get(f"{JOB}/status")
    assert it.metadata["session-ticket"] == "the-ticket"


@pytest.mark.parametrize("body", [b"", b"{}", b" \n"])
async def test_a_logout_takes_the_cookie_back(body: bytes) -> None:
    async with service() as it, rest(it.port) as client:
        response = await client.post(f"{USER}/logout", content=body, headers=COOKIE)
    assert parts(response) == (200, 0, "OK", {})
    assert it.metadata["session-ticket"] == "the-ticket"
    cookie = cookie_of(response)
    assert (cookie.value, cookie["max-age"]) == ("", "0")
    assert attributes(cookie) == ("/", True, "strict", "")


async def test_no_other_answer_has_to_do_with_cookies() -> None:
    async with service() as it, rest(it.port) as client:
        for path in ("userInfo", "heartbeat", "publicKey"):
            response = await client.get(f"{USER}/{path}", headers=COOKIE)
            assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", f"{JOB}/status"),
        ("GET", f"{JOB}/kill"),
        ("GET", f"{JOB}/pause"),
        ("GET", f"{JOB}/resume"),
        ("GET", f"{JOB}/log/stream"),
        ("GET", f"{JOB}/results/0/stream"),
        ("POST", "/api/rest_j/v1/entrance/submit"),
        ("POST", f"{USER}/logout"),
        ("POST", "/api/rest_j/v1/administration/users/alice/password"),
    ],
)
@pytest.mark.parametrize(
    "page", [HOSTILE, {"Origin": "null"}, {"Referer": "http://hostile.example/"}]
)
async def test_another_site_can_not_use_the_cookie(
    verb: str, path: str, page: Mapping[str, str]
) -> None:
    async with service() as it, rest(it.port) as client:
        refused = await client.request(verb, path, headers={**COOKIE, **page})
        assert it.requests == []
    assert parts(refused)[:2] == (403, 3)
    assert refused.json()["data"] == {"reason": "CROSS_SITE"}
    assert refused.json()["method"].startswith("/api/")


@pytest.mark.parametrize("verb", ["kill", "pause", "resume"])
async def test_our_own_page_can_use_the_cookie(verb: str) -> None:
    async with service() as it, rest(it.port) as client:
        response = await client.get(f"{JOB}/{verb}", headers={**COOKIE, **OWN})
    assert response.status_code == 200


@pytest.mark.parametrize("browser", [HOSTILE, {"User-Agent": "Mozilla/5.0"}])
async def test_a_browser_does_not_log_in_for_another_site(browser: Mapping[str, str]) -> None:
    async with service({"Login": says(OPENED)}) as it, rest(it.port) as client:
        refused = await client.post(f"{USER}/login", json=LOGIN, headers=browser)
        assert it.requests == []
    assert parts(refused)[:2] == (403, 3)
    assert "set-cookie" not in refused.headers


async def test_a_header_that_no_page_sends_unasked_needs_no_origin() -> None:
    async with service() as it, rest(it.port) as client:
        for credential in ({"Authorization": "Bearer a"}, {"Token-Code": "a", "Token-User": "b"}):
            response = await client.get(f"{JOB}/kill", headers={**COOKIE, **HOSTILE, **credential})
            assert response.status_code == 200


async def test_pages_of_other_origins_get_no_leave_to_read() -> None:
    async with service() as it, rest(it.port) as client:
        answers = [
            await client.get(f"{JOB}/status", headers=HOSTILE),
            await client.options(
                f"{JOB}/kill", headers={**HOSTILE, "Access-Control-Request-Method": "GET"}
            ),
        ]
    for answer in answers:
        assert not any(name.startswith("access-control") for name in answer.headers)


async def test_an_allowed_origin_may_act_and_read() -> None:
    page = {"Sec-Fetch-Site": "same-site", "Origin": "http://console.gateway"}
    changes = {"allowed_origins": ["http://console.gateway"]}
    async with service() as it, rest(it.port, **changes) as client:
        allowed = await client.get(f"{JOB}/kill", headers={**COOKIE, **page})
        asked = await client.options(
            f"{JOB}/kill", headers={**page, "Access-Control-Request-Method": "GET"}
        )
        refused = await client.get(f"{JOB}/kill", headers={**COOKIE, **HOSTILE})
    assert allowed.status_code == asked.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "http://console.gateway"
    assert allowed.headers["access-control-allow-credentials"] == "true"
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        ([], "192.0.2.1", "127.0.0.1"),
        (["10.0.0.0/8"], "192.0.2.1", "127.0.0.1"),
        (["127.0.0.0/8"], "192.0.2.1", "192.0.2.1"),
        (["127.0.0.0/8"], "198.51.100.9, 192.0.2.1", "192.0.2.1"),
        (["127.0.0.0/8", "10.0.0.0/8"], "192.0.2.1, 10.1.1.1", "192.0.2.1"),
        (["127.0.0.0/8"], "unknown", "unknown"),
    ],
)
async def test_the_callers_address_is_that_of_the_last_one_who_is_no_proxy_of_ours(
    proxies: list[str], forwarded: str, address: str
) -> None:
    headers = {"X-Forwarded-For": forwarded}
    async with service() as it, rest(it.port, trusted_proxies=proxies) as client:
        await client.get(f"{JOB}/status", headers=headers)
    assert it.metadata["caller-address"] == address


async def test_a_callers_address_is_that_of_its_connection() -> None:
    async with service() as it, running(it.port) as gateway:
        await gateway.client.get(f"{JOB}/status")
    assert it.metadata["caller-address"] == "127.0.0.1"
