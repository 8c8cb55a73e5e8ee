"""A sandbox without the machine's network: its code reaches nobody, and its engine works on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from entrance.client import JobStatus
from tests.support.service import Service
from tests.system.isolation.services import ACCOUNTS, IS_ROOT, Installation, started

KNOCK = "(exec 3<>/dev/tcp/127.0.0.1/{port}) && echo connected || echo refused"


def installation(network: str) -> Installation:
    settings = {"ENTRANCE_SANDBOX_NETWORK": network, **(ACCOUNTS if IS_ROOT else {})}
    return Installation("sandbox", as_root=IS_ROOT, settings=settings)


@pytest.fixture(scope="module")
def cut_off() -> Iterator[Service]:
    """A service whose sandboxes have no network."""
    with started(installation("false")) as service:
        yield service


def said(service: Service, code: str, engine: str) -> str:
    job = service.alice.client.submit(code, engine=engine)
    assert job.wait().status is JobStatus.SUCCEED, [line.text for line in job.follow_log()]
    return "\n".join(line.text for line in job.follow_log())


def test_code_can_not_connect_to_the_server_beside_it(cut_off: Service) -> None:
    assert "refused" in said(cut_off, KNOCK.format(port=cut_off.grpc_port), "shell")


def test_code_has_a_loopback_of_its_own(cut_off: Service) -> None:
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print('listening')"
    assert "listening" in said(cut_off, code, "python")


def test_sql_runs_as_with_a_network(cut_off: Service) -> None:
    job = cut_off.alice.client.submit("select 42 as answer", engine="duckdb")
    assert job.wait().status is JobStatus.SUCCEED
    assert job.result().to_arrow().to_pylist() == [{"answer": 42}]


def test_without_the_setting_code_reaches_what_listens_on_the_machine() -> None:
    with started(installation("true")) as service:
        assert "connected" in said(service, KNOCK.format(port=service.grpc_port), "shell")
