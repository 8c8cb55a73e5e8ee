"""Whatever a caller sends to any operation, the answer is one that the OpenAPI document describes.

ENTRANCE_EXAMPLES says how many requests are made up for each operation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

from entrance.client import JobStatus
from entrance_gateway.comments import comments
from entrance_gateway.openapi import document
from entrance_gateway.operations import SERVICES, operations_of
from tests.support.jobs import ended
from tests.support.service import Caller, Service, running_service

EXAMPLES = int(os.environ.get("ENTRANCE_EXAMPLES", "10"))
BOUNDED = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
KNOWN = {"id": "1", "index": 0}
KNOWN_PATHS = {"getDirFileTrees": "results", "openLog": "log"}  # others are of a result
FOR_ADMINISTRATORS = ["AdministrationService", "OperationService"]
PATIENCE = 20  # seconds; no answer takes so long, a stream's included
# A schema can't say which jobs there are; and more is taken than it says, as clients expect it.
NOT_CHECKED = [checks.positive_data_acceptance, checks.negative_data_rejection]
API = schemathesis.openapi.from_dict(document(operations_of(SERVICES), comments(), version="0"))


@pytest.fixture(scope="module")
def tried() -> Iterator[Service]:
    """A service of their own, which an administrator may drain; its job 1 is alice's."""
    with running_service() as service:
        ended(service.alice.client.submit("FROM range(10)", engine="duckdb"), JobStatus.SUCCEED)
        yield service


@API.exclude(tag=FOR_ADMINISTRATORS).parametrize()
@BOUNDED
def test_an_answer_is_as_described(tried: Service, case: schemathesis.Case[Any]) -> None:
    check(tried, tried.alice, case)


@API.include(tag=FOR_ADMINISTRATORS).parametrize()
@BOUNDED
def test_an_administrator_s_answer_is_as_described(
    tried: Service, case: schemathesis.Case[Any]
) -> None:
    check(tried, tried.admin, case)


def check(service: Service, caller: Caller, case: schemathesis.Case[Any]) -> None:
    """Sends a request, then the same for what is there, where it is about one thing."""
    send(service, caller, case)
    known = {name: value for name, value in KNOWN.items() if name in case.path_parameters}
    case.path_parameters.update(known)
    if "path" in case.query:
        place = KNOWN_PATHS.get(case.operation.path.rpartition("/")[2], "results/_0.dolphin")
        known["path"] = case.query["path"] = f"entrance:///1/{place}"
    if known:
        send(service, caller, case)


def send(service: Service, caller: Caller, case: schemathesis.Case[Any]) -> None:
    response = case.call(
        base_url=f"http://127.0.0.1:{service.http_port}",
        headers={"Authorization": f"Bearer {caller.token}"},
        timeout=PATIENCE,
    )
    case.validate_response(response, excluded_checks=NOT_CHECKED)
