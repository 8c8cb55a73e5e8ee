"""History and files by path: asked by gRPC and by REST at once, which must answer the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from tests.support.rest import Answer, answer_of
from tests.support.routes import Route, routes
from tests.support.rpc import Refusal
from tests.support.service import Caller

ROUTES = {route.rpc: route for route in routes("HistoryService", "FileService")}
HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: (400, 1),
    grpc.StatusCode.NOT_FOUND: (400, 1),
    grpc.StatusCode.PERMISSION_DENIED: (403, 3),
    grpc.StatusCode.UNAUTHENTICATED: (401, -1),
}


@dataclass(frozen=True)
class Sent:
    """A file as it was sent."""

    name: str
    media_type: str
    content: bytes
    response: httpx.Response


def ask(caller: Caller, rpc: str, **query: Any) -> dict[str, Any]:
    """The data that an RPC and its REST path answer; fails unless both say the same."""
    route = ROUTES[rpc]
    answer = _rest(caller, route, query)
    assert answer.is_ok, answer
    by_grpc = caller.rpc.invoke(route.method, _request(route, query))
    assert _message(route, answer.data) == by_grpc
    return answer.data


def refusal(caller: Caller, rpc: str, **query: Any) -> Refusal:
    """Why both are refused; fails unless they say the same."""
    route = ROUTES[rpc]
    answer = _rest(caller, route, query)
    told = caller.rpc.refusal_of(route.method, _request(route, query))
    assert (answer.http, answer.status) == HTTP[told.code]
    words = f"errCode: {told.err_code} ,desc: {told.message}" if told.err_code else told.message
    assert answer.message == words
    assert str(answer.data.get("errCode", "")) == (told.err_code or "")
    assert answer.data["reason"] == told.reason
    violations = {one["field"]: one["description"] for one in answer.data.get("violations", ())}
    assert violations == told.violations
    return told


def sent(caller: Caller, rpc: str, **query: Any) -> Sent:
    """The file that both send; fails unless it is the same, but for the time within a workbook."""
    route = ROUTES[rpc]
    response = caller.rest.http.get(route.path, params=query)
    assert response.status_code == 200, response.text
    first, *rest = caller.rpc.invoke(route.method, _request(route, query))
    content = b"".join(message.data for message in rest)
    if not content.startswith(b"PK"):
        assert response.content == content
    assert response.headers["content-type"].startswith(first.media_type)
    return Sent(first.file_name, first.media_type, response.content, response)


def _rest(caller: Caller, route: Route, query: dict[str, Any]) -> Answer:
    given = dict(query)
    path = route.path.replace("{id}", str(given.pop("id", "")))
    answer = answer_of(caller.rest.http.get(path, params=given))
    assert answer.method == path
    return answer


def _request(route: Route, query: dict[str, Any]) -> Any:
    given = {
        name: str(value) if name == "id" else value for name, value in query.items() if value != ""
    }
    return ParseDict(given, route.request_class())


def _message(route: Route, data: dict[str, Any]) -> Any:
    """The RPC's answer, read from what REST made of it."""
    if "fileContent" in data:
        data = {**data, "fileContent": [{"cells": row} for row in data["fileContent"]]}
    return ParseDict(data, GetMessageClass(route.method.output_type)())
