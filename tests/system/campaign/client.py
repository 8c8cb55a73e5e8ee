"""Clients that record every call with its start and end, and everything that they are told."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import grpc
import grpc.aio
import httpx

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc
from tests.system.campaign import model
from tests.system.campaign.history import Call, Followed, History, Lines, Plan, Rows, Seen
from tests.system.campaign.proxy import HOST

ROOT = "/api/rest_j/v1/entrance"
DEADLINE = 30.0  # seconds of one call
STREAM_DEADLINE = 120.0  # seconds of one stream; longer than any job
LIMITS = {"jobRunningTimeout": "7200", "jobQueuingTimeout": "7200"}  # seconds; no job reaches one
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)

_GRPC_WORDS = {
    grpc.StatusCode.UNAVAILABLE: model.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: model.DEADLINE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: model.EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION: model.WRONG_STATE,
}
_HTTP_WORDS = {503: model.UNAVAILABLE, 504: model.DEADLINE, 429: model.EXHAUSTED}
_REASON_WORDS = {
    "JOB_ENDED": model.WRONG_STATE,
    "JOB_ENDING": model.WRONG_STATE,
    "UNAVAILABLE": model.UNAVAILABLE,
    "STORAGE_UNAVAILABLE": model.UNAVAILABLE,
    "SERVER_UNAVAILABLE": model.UNAVAILABLE,
    "OUTCOME_UNKNOWN": model.UNAVAILABLE,
    "DEADLINE_EXCEEDED": model.DEADLINE,
}
_STATES = {
    pb.JobStatus.Value(f"JOB_STATUS_{name}"): word
    for name, word in {
        "UNSPECIFIED": "",
        "INITED": "Inited",
        "WAIT_FOR_RETRY": "WaitForRetry",
        "SCHEDULED": "Scheduled",
        "RUNNING": "Running",
        "SUCCEED": "Succeed",
        "FAILED": "Failed",
        "CANCELLED": "Cancelled",
        "TIMEOUT": "Timeout",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: a word of `model`, and what was answered."""

    code: str
    value: Any = None
    detail: str = ""

    @property
    def is_ok(self) -> bool:
        return self.code == model.OK


@dataclass(frozen=True, slots=True)
class Page:
    """Successive lines, and what to ask for next; `status` when they are the last."""

    first: int
    texts: Sequence[str]
    next_line: int
    status: str = ""


class Client(ABC):
    """One actor's calls by one protocol. Its calls follow one another."""

    via: ClassVar[str]

    def __init__(self, actor: str, history: History) -> None:
        self.actor = actor
        self._history = history

    @abstractmethod
    async def close(self) -> None:
        """Drops the connection."""

    async def submit(self, plan: Plan) -> Answer:
        """Submits; the value is the task id."""
        return await self._record("submit", plan.token, 0, self._submit(plan))

    async def status(self, task_id: int) -> Answer:
        """Asks for the state."""
        start = time.time()
        answer = await self._record("status", "", task_id, self._status(task_id))
        if answer.is_ok:
            self._saw(task_id, start, answer.value)
        return answer

    async def control(self, op: str, task_id: int) -> Answer:
        """Does one of kill, killJobs, pause, resume."""
        return await self._record(op, "", task_id, self._control(op, task_id))

    async def log(self, task_id: int, from_line: int, observer: str) -> Answer:
        """Reads lines of the log; the value is a page."""
        answer = await self._record("log", "", task_id, self._log(task_id, from_line))
        if answer.is_ok:
            self._got(task_id, observer, answer.value)
        return answer

    async def rows(self, task_id: int, index: int) -> Answer:
        """Reads a whole result set."""
        answer = await self._record("rows", "", task_id, self._rows(task_id, index))
        if answer.is_ok:
            self._history.add(Rows(self.actor, task_id, index, answer.value))
        return answer

    async def follow_log(self, task_id: int, from_line: int, observer: str) -> Answer:
        """Follows the log once, until it ends or breaks; the value is the line to go on from."""
        next_line = from_line

        async def follow() -> Answer:
            nonlocal next_line
            async for page in self._follow_log(task_id, from_line):
                self._got(task_id, observer, page)
                next_line = page.next_line or next_line
                if page.status:
                    return Answer(model.OK, page.status)
            return Answer(model.UNAVAILABLE, None, "the stream was cut")

        answer = await self._record("follow log", "", task_id, follow())
        if answer.is_ok:
            self._history.add(Followed(observer, task_id, next_line, answer.value))
        return Answer(answer.code, next_line)

    async def watch(self, task_id: int, op: str) -> Answer:
        """Follows the job or its progress once, until it ends or breaks."""

        async def follow() -> Answer:
            start = time.time()
            status = ""
            async for status in self._watch(task_id, op):
                self._saw(task_id, start, status)
                start = time.time()
                if status in model.FINAL_STATES:
                    return Answer(model.OK, status)
            return Answer(model.UNAVAILABLE, None, "the stream was cut")

        return await self._record(op, "", task_id, follow())

    @abstractmethod
    async def _submit(self, plan: Plan) -> Answer: ...

    @abstractmethod
    async def _status(self, task_id: int) -> Answer: ...

    @abstractmethod
    async def _control(self, op: str, task_id: int) -> Answer: ...

    @abstractmethod
    async def _log(self, task_id: int, from_line: int) -> Answer: ...

    @abstractmethod
    async def _rows(self, task_id: int, index: int) -> Answer: ...

    @abstractmethod
    def _follow_log(self, task_id: int, from_line: int) -> AsyncGenerator[Page, None]: ...

    @abstractmethod
    def _watch(self, task_id: int, op: str) -> AsyncGenerator[str, None]: ...

    @abstractmethod
    def _failure(self, error: Exception) -> Answer: ...

    async def _record(self, op: str, token: str, task_id: int, call: Awaitable[Answer]) -> Answer:
        start = time.time()
        try:
            answer = await call
        except (grpc.RpcError, httpx.HTTPError, Refused) as error:
            answer = self._failure(error)
        except asyncio.CancelledError:
            # the campaign is over; the service may still do it
            self._note(op, token, task_id, start, Answer(model.ABANDONED))
            raise
        if op == "submit" and answer.is_ok:
            task_id = answer.value
        self._note(op, token, task_id, start, answer)
        return answer

    def _note(self, op: str, token: str, task_id: int, start: float, answer: Answer) -> None:
        now = time.time()
        self._history.add(
            Call(self.actor, self.via, op, token, task_id, start, now, answer.code, answer.detail)
        )

    def _saw(self, task_id: int, start: float, status: str) -> None:
        self._history.add(Seen(self.actor, task_id, start, time.time(), status))

    def _got(self, task_id: int, observer: str, page: Page) -> None:
        if page.texts:
            self._history.add(Lines(observer, task_id, page.first, tuple(page.texts)))


class GrpcClient(Client):
    """By gRPC, with the generated stubs."""

    via = "grpc"

    def __init__(self, actor: str, history: History, *, port: int, token: str) -> None:
        super().__init__(actor, history)
        self._channel = grpc.aio.insecure_channel(f"{HOST}:{port}", options=CHANNEL_OPTIONS)
        self._stub = entrance_pb2_grpc.EntranceServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def close(self) -> None:
        await self._channel.close()

    async def _call(self, rpc: str, request: Any) -> Any:
        method = getattr(self._stub, rpc)
        return await method(request, timeout=DEADLINE, metadata=self._metadata)

    async def _submit(self, plan: Plan) -> Answer:
        request = pb.SubmitRequest(
            execution_content=pb.ExecutionContent(code=plan.code, run_type=plan.run_type),
            labels=_labels(plan),
            source={"campaign": plan.token},
            request_id=plan.token,
        )
        return Answer(model.OK, (await self._call("Submit", request)).task_id)

    async def _status(self, task_id: int) -> Answer:
        answer = await self._call("Status", pb.StatusRequest(id=str(task_id)))
        return Answer(model.OK, _STATES[answer.status])

    async def _control(self, op: str, task_id: int) -> Answer:
        id = str(task_id)
        if op != "killJobs":
            name = op.capitalize()
            await self._call(name, getattr(pb, f"{name}Request")(id=id))
            return Answer(model.OK)
        request = pb.KillJobsRequest(id="any", id_list=[id], task_id_list=[task_id])
        status = (await self._call("KillJobs", request)).messages[0].status
        if status.code == 0:
            return Answer(model.OK)
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        return Answer(_GRPC_WORDS.get(code, code.name), None, status.message)

    async def _log(self, task_id: int, from_line: int) -> Answer:
        request = pb.LogRequest(
            id=str(task_id), from_line=from_line, size=10_000, distinct_level=False
        )
        return Answer(model.OK, _page(from_line, await self._call("Log", request)))

    async def _rows(self, task_id: int, index: int) -> Answer:
        rows: list[list[str]] = []
        token = ""
        while True:
            request = pb.ReadResultRequest(
                id=str(task_id), index=index, page_size=100, page_token=token
            )
            page = await self._call("ReadResult", request)
            rows += [[cell.text for cell in row.cells] for row in page.rows]
            token = page.next_page_token
            if not token:
                return Answer(model.OK, rows)

    async def _follow_log(self, task_id: int, from_line: int) -> AsyncGenerator[Page, None]:
        request = pb.StreamLogRequest(id=str(task_id), from_line=from_line)
        call = self._stub.StreamLog(request, timeout=STREAM_DEADLINE, metadata=self._metadata)
        try:
            async for message in call:
                texts = [line for chunk in message.chunks for line in _split(chunk.text)]
                first = message.chunks[0].from_line if message.chunks else message.next_line
                yield Page(first, texts, message.next_line, _STATES[message.status])
        finally:
            call.cancel()

    async def _watch(self, task_id: int, op: str) -> AsyncGenerator[str, None]:
        rpc, request = (
            (self._stub.WatchJob, pb.WatchJobRequest(id=str(task_id)))
            if op == "watch"
            else (self._stub.StreamProgress, pb.StreamProgressRequest(id=str(task_id)))
        )
        call = cast(Any, rpc)(request, timeout=STREAM_DEADLINE, metadata=self._metadata)
        try:
            async for message in call:
                yield _STATES[message.job.status if op == "watch" else message.status]
        finally:
            call.cancel()

    def _failure(self, error: Exception) -> Answer:
        assert isinstance(error, grpc.aio.AioRpcError)
        word = _GRPC_WORDS.get(error.code(), error.code().name)
        return Answer(word, None, error.details() or "")


class Refused(Exception):
    """An envelope that is not OK, or no envelope at all."""

    def __init__(self, http: int, message: str, reason: str) -> None:
        super().__init__(f"HTTP {http}: {message}")
        self.http = http
        self.reason = reason


class RestClient(Client):
    """By the documented paths, and by server-sent events."""

    via = "rest"

    def __init__(self, actor: str, history: History, *, port: int, token: str) -> None:
        super().__init__(actor, history)
        self._http = httpx.AsyncClient(
            base_url=f"http://{HOST}:{port}{ROOT}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=DEADLINE,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def _get(self, path: str, **query: Any) -> Mapping[str, Any]:
        return _data(await self._http.get(path, params=query))

    async def _submit(self, plan: Plan) -> Answer:
        body = {
            "executionContent": {"code": plan.code, "runType": plan.run_type},
            "labels": _labels(plan),
            "source": {"campaign": plan.token},
            "requestID": plan.token,
        }
        data = _data(await self._http.post("/submit", json=body))
        return Answer(model.OK, int(data["taskID"]))

    async def _status(self, task_id: int) -> Answer:
        return Answer(model.OK, (await self._get(f"/{task_id}/status"))["status"])

    async def _control(self, op: str, task_id: int) -> Answer:
        if op != "killJobs":
            await self._get(f"/{task_id}/{op}")
            return Answer(model.OK)
        body = {"idList": [str(task_id)], "taskIDList": [task_id]}
        data = _data(await self._http.post("/any/killJobs", json=body))
        message = data["messages"][0]
        if message["status"] == 0:
            return Answer(model.OK)
        reason = message["data"].get("reason", "")
        return Answer(_REASON_WORDS.get(reason, reason), None, message["message"])

    async def _log(self, task_id: int, from_line: int) -> Answer:
        data = await self._get(
            f"/{task_id}/log", fromLine=from_line, size=-1, distinctLevel="false"
        )
        count = data["fromLine"] - max(from_line, 1)
        texts = data["log"].split("\n") if count else []
        return Answer(model.OK, Page(max(from_line, 1), texts, data["fromLine"]))

    async def _rows(self, task_id: int, index: int) -> Answer:
        rows: list[list[str]] = []
        token = ""
        while True:
            more = {"pageToken": token} if token else {}
            data = await self._get(f"/{task_id}/results/{index}", pageSize=1000, **more)
            rows += data["rows"]
            token = data.get("nextPageToken", "")
            if not token:
                return Answer(model.OK, rows)

    async def _follow_log(self, task_id: int, from_line: int) -> AsyncGenerator[Page, None]:
        headers = {"Last-Event-ID": str(from_line)}
        async for name, data, last_id in self._events(f"/{task_id}/log/stream", headers):
            if name == "log":
                yield Page(data["fromLine"], data["lines"], int(last_id))
            elif name == "end":
                yield Page(0, (), 0, data["status"])

    async def _watch(self, task_id: int, op: str) -> AsyncGenerator[str, None]:
        path = "watch" if op == "watch" else "progress/stream"
        async for name, data, _ in self._events(f"/{task_id}/{path}", {}):
            if "status" in data or name == "end":
                yield data["status"]

    async def _events(
        self, path: str, headers: Mapping[str, str]
    ) -> AsyncGenerator[tuple[str, Any, str], None]:
        async with self._http.stream("GET", path, headers=headers) as response:
            if response.status_code != 200:
                await response.aread()
                _data(response)
            event: dict[str, str] = {}
            async for line in response.aiter_lines():
                key, _, value = line.partition(": ")
                if key:
                    event[key] = value
                elif event:
                    if "data" in event:
                        name, data = event.get("event", ""), json.loads(event["data"])
                        if name == "error":
                            raise _refused(0, data)
                        yield name, data, event.get("id", "")
                    event = {}

    def _failure(self, error: Exception) -> Answer:
        if isinstance(error, Refused):
            by_reason = _REASON_WORDS.get(error.reason, f"HTTP {error.http} {error.reason}")
            word = _HTTP_WORDS.get(error.http, by_reason)
            return Answer(word, None, str(error))
        word = model.DEADLINE if isinstance(error, httpx.TimeoutException) else model.UNAVAILABLE
        return Answer(word, None, repr(error))


def _labels(plan: Plan) -> dict[str, str]:
    return {"engineType": plan.engine, "userCreator": f"{plan.user}-campaign", **LIMITS}


def _data(response: httpx.Response) -> Mapping[str, Any]:
    envelope = response.json()
    if envelope["status"] != 0:
        raise _refused(response.status_code, envelope)
    data: Mapping[str, Any] = envelope["data"]
    return data


def _refused(http: int, envelope: Mapping[str, Any]) -> Refused:
    return Refused(http, envelope["message"], envelope["data"].get("reason", ""))


def _page(from_line: int, response: pb.LogResponse) -> Page:
    first = max(from_line, 1)
    texts = response.log[0].split("\n") if response.from_line > first else []
    return Page(first, texts, response.from_line)


def _split(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")
