"""Callers who log in, and callers with whatever credentials a test gives them."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import httpx

from entrance.v1 import users_pb2
from entrance_gateway.credentials import SESSION_COOKIE
from tests.support.rest import Answer, answer_of
from tests.support.rpc import Rpc
from tests.support.service import HOST, SETTINGS, Service, running_service
from tests.support.waiting import PATIENCE

BASE = "/api/rest_j/v1"
PASSWORD = "correct horse"
WIDE_SETTINGS: Mapping[str, str] = {
    **SETTINGS,
    "ENTRANCE_LOGIN_ATTEMPTS": "3",
    "ENTRANCE_GATEWAY_TRUSTED_PROXIES": f'["{HOST}"]',  # so that a test chooses its address
}
USERS = users_pb2.DESCRIPTOR.services_by_name["UserService"].methods_by_name
ADMINISTRATION = users_pb2.DESCRIPTOR.services_by_name["AdministrationService"].methods_by_name

_addresses = itertools.count(1)


@contextmanager
def identity_service() -> Iterator[Service]:
    """A service that believes what X-Forwarded-For says."""
    with running_service(WIDE_SETTINGS) as service:
        yield service


def new_address() -> str:
    """An address that no other test has, and so its wrong logins."""
    number = next(_addresses)
    return f"10.9.{number // 256}.{number % 256}"


def new_user(service: Service, *, is_admin: bool = False) -> str:
    """The name of a user of the test's own, whose password is PASSWORD."""
    name = f"user{secrets.token_hex(4)}"
    service.admin.client.administration.create_user(name, PASSWORD, is_admin=is_admin)
    return name


class WebClient:
    """An HTTP client that keeps cookies, at an address of its own."""

    def __init__(self, service: Service, **headers: str) -> None:
        self.address = headers.pop("address", new_address())
        self._http = httpx.Client(
            base_url=f"http://{HOST}:{service.http_port}",
            headers={"X-Forwarded-For": self.address, **headers},
            timeout=PATIENCE,
            trust_env=False,
        )

    def __enter__(self) -> WebClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def ticket(self) -> str | None:
        """The ticket that the client keeps; None without one."""
        return self._http.cookies.get(SESSION_COOKIE)

    @ticket.setter
    def ticket(self, value: str) -> None:
        self._http.cookies.clear()
        self._http.cookies.set(SESSION_COOKIE, value)

    def send(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """The whole response to a request for a path below the root."""
        return self._http.request(verb, BASE + path, **options)

    def get(self, path: str, **headers: str) -> Answer:
        return answer_of(self.send("GET", path, headers=headers))

    def post(self, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        return answer_of(self.send("POST", path, json=body or {}, headers=headers))

    def log_in(self, name: str, password: str = PASSWORD, **more: Any) -> Answer:
        return self.post("/user/login", {"userName": name, "password": password, **more})


def rpc_with(service: Service, **metadata: str) -> Rpc:
    """Calls by gRPC with some metadata, such as `session_ticket`."""
    rpc = Rpc(service.grpc_port, None)
    rpc.metadata = cast(
        Any, tuple((name.replace("_", "-"), value) for name, value in metadata.items())
    )
    return rpc
