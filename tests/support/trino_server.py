"""The statement protocol of Trino before DuckDB: no package brings a Trino, whose server is Java.

It speaks what Trino documents of its client protocol: a statement is posted, each answer has the
address of the next, with figures of the splits and at last the columns and rows; a DELETE cancels.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SPLITS = 4
_TYPES = {"INTEGER": "integer", "BIGINT": "bigint", "HUGEINT": "decimal(38,0)", "DATE": "date"}


@dataclass
class _Query:
    id: str
    text: str
    splits: int = 0
    cancelled: bool = False
    rows: list[Any] = field(default_factory=list)


class TrinoServer:
    """Answers one user; a statement with `held()` does not end before it is released."""

    def __init__(self, user: str, password: str = "") -> None:
        self._user = user
        self._password = password
        self._database = duckdb.connect(":memory:")
        self._numbers = itertools.count(1)
        self._queries: dict[str, _Query] = {}
        self.released = threading.Event()
        self.port = 0

    @property
    def cancelled(self) -> list[str]:
        """The texts of the statements that were cancelled."""
        return [one.text for one in self._queries.values() if one.cancelled]

    @contextlib.contextmanager
    def running(self, **tls: str) -> Iterator[TrinoServer]:
        """Listens on loopback within the context."""
        app = Starlette(
            routes=[
                Route("/v1/statement", self._post, methods=["POST"]),
                Route("/v1/statement/executing/{id}", self._executing, methods=["GET", "DELETE"]),
            ]
        )
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", **tls)  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        socket = config.bind_socket()
        self.port = socket.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join()

    async def _post(self, request: Request) -> Response:
        if not self._is_known(request):
            return Response("Unauthorized", 401)
        query = _Query(f"q{next(self._numbers)}", (await request.body()).decode())
        self._queries[query.id] = query
        return self._answer(request, query, "QUEUED")

    async def _executing(self, request: Request) -> Response:
        query = self._queries[request.path_params["id"]]
        if request.method == "DELETE":
            query.cancelled = True
            return Response(status_code=204)
        if query.cancelled:
            return self._failed(request, query, "USER_CANCELED", "Query was canceled")
        if query.splits < SPLITS - 1 or ("held()" in query.text and not self.released.is_set()):
            query.splits = min(query.splits + 1, SPLITS - 1)
            return self._answer(request, query, "RUNNING")
        query.splits = SPLITS
        return self._finish(request, query)

    def _finish(self, request: Request, query: _Query) -> Response:
        try:
            found = self._database.execute(query.text.replace("held()", "1"))
        except duckdb.Error as error:
            return self._failed(request, query, "SYNTAX_ERROR", str(error).splitlines()[0])
        columns = [_column(name, str(type_)) for name, type_, *_ in found.description or ()]
        rows = [[_json(value) for value in row] for row in found.fetchall()]
        more: dict[str, Any] = {"columns": columns, "data": rows}
        if query.text.split()[0].upper() in ("CREATE", "INSERT"):
            more = {"updateType": query.text.split()[0].upper(), "updateCount": len(rows)}
        return self._answer(request, query, "FINISHED", last=True, **more)

    def _failed(self, request: Request, query: _Query, name: str, message: str) -> Response:
        error = {"message": message, "errorCode": 1, "errorName": name, "errorType": "USER_ERROR"}
        return self._answer(request, query, "FAILED", last=True, error=error)

    def _answer(
        self, request: Request, query: _Query, state: str, *, last: bool = False, **more: Any
    ) -> Response:
        base = str(request.base_url)
        stats = {
            "state": state,
            "totalSplits": SPLITS,
            "completedSplits": query.splits,
            "queuedSplits": 0,
            "runningSplits": SPLITS - query.splits,
        }
        body = {"id": query.id, "infoUri": f"{base}ui/{query.id}", "stats": stats, **more}
        if not last:
            body["nextUri"] = f"{base}v1/statement/executing/{query.id}"
        return JSONResponse(body)

    def _is_known(self, request: Request) -> bool:
        if not self._password:
            return request.headers["x-trino-user"] == self._user
        expected = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        return request.headers.get("authorization") == f"Basic {expected}"


def _column(name: str, type_: str) -> dict[str, Any]:
    told = _TYPES.get(type_, "varchar")
    longest = [{"kind": "LONG", "value": 2**31 - 1}] if told == "varchar" else []
    signature = {"rawType": told.partition("(")[0], "arguments": longest}
    return {"name": name, "type": told, "typeSignature": signature}


def _json(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | bool) else str(value)
