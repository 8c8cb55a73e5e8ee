"""The REST API as a plain HTTP client sees it, with the envelope checked on every answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.waiting import PATIENCE

ROOT = "/api/rest_j/v1/entrance"
METHOD_ROOT = "/api/entrance"


@dataclass(frozen=True)
class Answer:
    """What an envelope says."""

    http: int
    method: str
    status: int
    message: str
    data: dict[str, Any]

    @property
    def is_ok(self) -> bool:
        return (self.http, self.status) == (200, 0)


@dataclass(frozen=True)
class Event:
    """A server-sent event as a browser would see it; `id` is the last one that it would have."""

    name: str
    data: Any
    id: str


class Rest:
    """Calls on the documented paths, below `/entrance`, in one caller's name."""

    def __init__(self, port: int, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=PATIENCE, trust_env=False
        )

    def close(self) -> None:
        self.http.close()

    def get(self, path: str, **query: str | int | bool) -> Answer:
        return answer_of(self.http.get(f"{ROOT}/{path}", params=query))

    def post(self, path: str, body: Mapping[str, Any] | bytes) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return answer_of(self.http.post(f"{ROOT}/{path}", content=content, headers=headers))

    def submit(self, code: str, engine: str, run_type: str, **more: Any) -> Answer:
        return self.post("submit", labels_form(code, engine, run_type, **more))

    def bytes(self, path: str) -> bytes:
        """What a download gives."""
        return self.http.get(f"{ROOT}/{path}").raise_for_status().content

    def events(self, path: str, *, last_id: str = "") -> Iterator[Event]:
        """The events of a stream until it ends, or until the caller stops asking for more."""
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with self.http.stream("GET", f"{ROOT}/{path}", headers=headers) as response:
            assert response.status_code == 200, response.read()
            assert response.headers["content-type"].startswith("text/event-stream")
            yield from events_in(response.iter_lines(), last_id)


def answer_of(response: httpx.Response) -> Answer:
    """What a response says; fails unless it has the documented form."""
    assert response.headers["content-type"].replace(" ", "").lower() == (
        "application/json;charset=utf-8"
    )
    envelope = response.json()
    assert list(envelope) == ["method", "status", "message", "data"]
    assert isinstance(envelope["data"], dict)
    return Answer(http=response.status_code, **envelope)


def labels_form(code: str, engine: str, run_type: str, **labels: Any) -> dict[str, Any]:
    """A submit body in the labels form."""
    return {
        "executionContent": {"code": code, "runType": run_type},
        "labels": {"engineType": engine, **labels},
    }


def events_in(lines: Iterator[str], last_id: str) -> Iterator[Event]:
    """The events in the lines of a stream."""
    name, data = "message", list[str]()
    for line in lines:
        key, _, value = line.partition(": ")
        if key == "id":
            last_id = value
        elif key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif not line:
            if data:
                yield Event(name, json.loads("\n".join(data)), last_id)
            name, data = "message", []
