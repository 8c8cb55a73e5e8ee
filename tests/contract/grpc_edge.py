"""A gRPC edge on loopback in front of services that answer as a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc, files_pb2, history_pb2
from entrance_server.domain.errors import Unauthenticated
from entrance_server.domain.job import Job, JobSpec, Principal, ResultSet, ResultType
from entrance_server.domain.paths import ResultsPath
from entrance_server.domain.status import JobStatus
from entrance_server.logs.levels import LogLevel
from entrance_server.rpc import layers
from entrance_server.rpc.audit import AuditSink
from entrance_server.rpc.files import FileServicer
from entrance_server.rpc.history import HistoryServicer
from entrance_server.rpc.hops import Seal
from entrance_server.rpc.routing import Routing
from entrance_server.rpc.server import Limits, create_server, entrance, files, history
from entrance_server.rpc.servicer import EntranceServicer
from entrance_server.rpc.yarn import Machine
from entrance_server.service.auth import Credentials, Grant
from entrance_server.service.file_requests import ExportRequest, PageRequest
from entrance_server.service.files import FileHead, FilePage, Pieces, ResultListing
from entrance_server.service.history import Task, TaskPage, TaskQuery
from entrance_server.service.views import (
    EngineView,
    JobPage,
    KillOutcome,
    LogBatch,
    LogPage,
    PreviewView,
    ProgressView,
    ResultPage,
    ResultSetPage,
    SubmitCommand,
)
from entrance_server.store.port import JobFilter

Answer = TypeVar("Answer")
Metadata: TypeAlias = Sequence[tuple[str, str]]

ALICE = Principal("alice", is_admin=False)
ROOT = Principal("root", is_admin=True)
CALLERS = {"Bearer alice": ALICE, "Bearer root": ROOT}
AS_ALICE: Metadata = (("authorization", "Bearer alice"),)
AS_ROOT: Metadata = (("authorization", "Bearer root"),)
PATIENCE = 20  # seconds that a test waits for what must happen

# Those of the services here, but for the one that is answered by the edge itself.
METHODS: Sequence[MethodDescriptor] = [
    method
    for file, service in (
        (pb, "EntranceService"),
        (history_pb2, "HistoryService"),
        (files_pb2, "FileService"),
    )
    for method in file.DESCRIPTOR.services_by_name[service].methods
    if method.name != "GetGovernanceStationAdmin"
]

JOB = Job(
    task_id=7,
    spec=JobSpec("alice", "alice", "IDE", "duckdb", "sql", "SELECT 1"),
    instance="127.0.0.1:9104",
    status=JobStatus.RUNNING,
    create_time=datetime(2024, 2, 29, 12, 0, tzinfo=UTC),
    update_time=datetime(2024, 2, 29, 12, 1, tzinfo=UTC),
)
TASK = Task(JOB, timedelta(seconds=90))
TABLE = ResultSet(0, ResultType.TABLE, "application/vnd.apache.parquet", "0.parquet")


@dataclass
class Services:
    """All services in one: notes what it is asked, and answers, raises or waits.

    `error` is raised by every operation; `gate`, when there is one, is waited for before an answer,
    and in a stream after each item.
    """

    error: Exception | None = None
    gate: asyncio.Event | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: list[KillOutcome] = field(default_factory=list)
    progress_view: ProgressView = field(default_factory=lambda: ProgressView(JOB, 0.5))
    batches: Sequence[LogBatch] = ()
    pieces: Sequence[tuple[ResultSet | None, bytes]] = ()

    async def authenticate(self, credentials: Credentials) -> Grant:
        if credentials.authorization not in CALLERS:
            raise Unauthenticated("Send a token.")
        caller = CALLERS[credentials.authorization]
        return Grant(caller, users=frozenset({caller.user}))

    @asynccontextmanager
    async def holding(self, grant: Grant) -> AsyncIterator[None]:
        yield

    async def submit(self, principal: Principal, command: SubmitCommand) -> Job:
        return await self._answer(JOB, principal, command)

    async def preview(self, principal: Principal, command: SubmitCommand) -> PreviewView:
        return await self._answer(PreviewView("SELECT 1", ["SELECT 1"], []), principal, command)

    async def kill(self, principal: Principal, id: str, *, task_id: int = 0) -> Job:
        return await self._answer(JOB, principal, id, task_id)

    async def kill_jobs(
        self, principal: Principal, ids: Sequence[str], task_ids: Sequence[int]
    ) -> list[KillOutcome]:
        return await self._answer(self.outcomes, principal, list(ids), list(task_ids))

    async def pause(self, principal: Principal, id: str) -> Job:
        return await self._answer(JOB, principal, id)

    async def resume(self, principal: Principal, id: str) -> Job:
        return await self._answer(JOB, principal, id)

    async def get_job(self, principal: Principal, id: str, *, task_id: int = 0) -> Job:
        return await self._answer(JOB, principal, id, task_id)

    async def progress(self, principal: Principal, id: str) -> ProgressView:
        return await self._answer(self.progress_view, principal, id)

    async def log(
        self,
        principal: Principal,
        id: str,
        *,
        from_line: int,
        size: int | None,
        distinct_level: bool,
    ) -> LogPage:
        page = LogPage(JOB, 3, ["", "", "a", "a\nb"])
        return await self._answer(page, principal, id, from_line, size, distinct_level)

    def stream_log(
        self, principal: Principal, id: str, *, from_line: int, levels: frozenset[LogLevel]
    ) -> AsyncGenerator[LogBatch, None]:
        return self._stream(self.batches, principal, id, from_line, levels)

    def stream_progress(self, principal: Principal, id: str) -> AsyncGenerator[ProgressView, None]:
        return self._stream([self.progress_view], principal, id)

    def watch(self, principal: Principal, id: str) -> AsyncGenerator[Job, None]:
        return self._stream([JOB], principal, id)

    async def list_jobs(
        self, principal: Principal, where: JobFilter, *, page_size: int, page_token: str
    ) -> JobPage:
        return await self._answer(JobPage([JOB], "next"), principal, where, page_size, page_token)

    def engines(self) -> Sequence[EngineView]:
        if self.error:
            raise self.error
        return [EngineView("duckdb", "1.5", ["sql"], "SQL in the process.")]

    async def list_results(
        self, principal: Principal, id: str, *, page_size: int, page_token: str
    ) -> ResultSetPage:
        page = ResultSetPage([TABLE], "next")
        return await self._answer(page, principal, id, page_size, page_token)

    async def read_result(
        self, principal: Principal, id: str, index: int, *, page_size: int, page_token: str
    ) -> ResultPage:
        page = ResultPage(TABLE, [["1", None]], b"", "next")
        return await self._answer(page, principal, id, index, page_size, page_token)

    def stream_result(
        self, principal: Principal, id: str, index: int, *, offset: int
    ) -> AsyncGenerator[tuple[ResultSet | None, bytes], None]:
        return self._stream(self.pieces, principal, id, index, offset)

    async def get_task(self, principal: Principal, id: str) -> Task:
        return await self._answer(TASK, principal, id)

    async def list_tasks(self, principal: Principal, query: TaskQuery) -> TaskPage:
        return await self._answer(TaskPage([TASK], 1), principal, query)

    async def tree(self, principal: Principal, path: str) -> ResultListing:
        return await self._answer(ResultListing(ResultsPath(7), []), principal, path)

    async def open_result(self, principal: Principal, path: str, request: PageRequest) -> FilePage:
        return await self._answer(FilePage(TABLE, 1, 1), principal, path, request)

    async def open_log(
        self, principal: Principal, path: str, wanted: frozenset[LogLevel]
    ) -> Sequence[str]:
        return await self._answer(["", "", "a", "a"], principal, path, wanted)

    async def export(
        self, principal: Principal, path: str, request: ExportRequest
    ) -> tuple[FileHead, Pieces]:
        return FileHead("x.csv", "text/csv"), self._stream([b"data"], principal, path, request)

    async def download(self, principal: Principal, path: str) -> tuple[FileHead, Pieces]:
        return FileHead("7.log", "text/plain"), self._stream([b"data"], principal, path)

    async def _answer(self, answer: Answer, *asked: Any) -> Answer:
        self.asked.append(asked)
        self.started.set()
        try:
            if self.gate:
                await self.gate.wait()
            if self.error:
                raise self.error
            return answer
        finally:
            self.released.set()

    async def _stream(self, items: Sequence[Answer], *asked: Any) -> AsyncGenerator[Answer, None]:
        self.asked.append(asked)
        self.started.set()
        try:
            for item in items:
                yield item
                if self.gate:
                    await self.gate.wait()
            if self.error:
                raise self.error
        finally:
            self.released.set()


def edge_server(
    services: Services,
    *,
    limits: Limits | None = None,
    observers: Sequence[layers.Observer] = (),
    audit: AuditSink | None = None,
    seal: Seal | None = None,
    routing: Routing | None = None,
    health_servicer: health.aio.HealthServicer | None = None,
) -> grpc.aio.Server:
    """An edge in front of these services, not yet started."""
    stand_in: Any = services
    servicer = EntranceServicer(
        submit=stand_in,
        control=stand_in,
        observe=stand_in,
        results=stand_in,
        machine=Machine(cores=4, memory_bytes=4 * 2**30),
    )
    return create_server(
        [
            entrance(servicer),
            history(HistoryServicer(stand_in)),
            files(FileServicer(stand_in)),
        ],
        authenticator=stand_in,
        health_servicer=health_servicer or health.aio.HealthServicer(),
        limits=limits or Limits(),
        observers=observers,
        audit=audit,
        seal=seal,
        routing=routing,
    )


@asynccontextmanager
async def connected(server: grpc.aio.Server) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to this server, which is started here and stopped at the end of the block."""
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with (
            asyncio.timeout(PATIENCE),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield channel
    finally:
        await server.stop(grace=1)


@asynccontextmanager
async def serving(
    services: Services,
    *,
    limits: Limits | None = None,
    observers: Sequence[layers.Observer] = (),
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to an edge in front of these services."""
    async with connected(edge_server(services, limits=limits, observers=observers)) as channel:
        yield channel


def stub(channel: grpc.aio.Channel) -> entrance_pb2_grpc.EntranceServiceAsyncStub:
    """The typed stub of a channel."""
    return entrance_pb2_grpc.EntranceServiceStub(channel)


async def call(
    channel: grpc.aio.Channel,
    method: MethodDescriptor,
    request: Message | None = None,
    *,
    metadata: Metadata = AS_ALICE,
) -> list[Any]:
    """The answers of any method: one, or those of a stream."""
    if request is None:
        request = message_factory.GetMessageClass(method.input_type)()
    rpc = open_call(channel, method, request, metadata=metadata)
    if method.server_streaming:
        return [answer async for answer in rpc]
    return [await rpc]


def open_call(
    channel: grpc.aio.Channel,
    method: MethodDescriptor,
    request: Message,
    *,
    metadata: Metadata = AS_ALICE,
    timeout: float | None = None,
) -> Any:
    """A call of any method that has begun."""
    kind: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    rpc = kind(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
    return rpc(request, metadata=metadata, timeout=timeout)
