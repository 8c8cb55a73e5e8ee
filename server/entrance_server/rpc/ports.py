"""What the edge asks of the service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from entrance_server.domain.job import Job, Principal, ResultSet
from entrance_server.logs.levels import LogLevel
from entrance_server.service.views import (
    EngineView,
    JobPage,
    KillOutcome,
    LogBatch,
    LogPage,
    ProgressView,
    ResultPage,
    ResultSetPage,
    SubmitCommand,
)
from entrance_server.store.port import JobFilter


class Authenticator(Protocol):
    """Knows callers by their credentials."""

    async def authenticate(self, authorization: str | None) -> Principal:
        """The caller behind a raw `authorization` value.

        Raises:
            Unauthenticated: there is none, or nobody's.
        """


class Submit(Protocol):
    """Accepts jobs."""

    async def submit(self, principal: Principal, command: SubmitCommand) -> Job: ...


class Control(Protocol):
    """Ends, holds and resumes jobs."""

    async def kill(self, principal: Principal, id: str, *, task_id: int = 0) -> Job: ...

    async def kill_jobs(
        self, principal: Principal, ids: Sequence[str], task_ids: Sequence[int]
    ) -> list[KillOutcome]: ...

    async def pause(self, principal: Principal, id: str) -> Job: ...

    async def resume(self, principal: Principal, id: str) -> Job: ...


class Observe(Protocol):
    """Tells about jobs. What streams is an async generator, which the edge closes."""

    async def get_job(self, principal: Principal, id: str, *, task_id: int = 0) -> Job: ...

    async def progress(self, principal: Principal, id: str) -> ProgressView: ...

    async def log(
        self,
        principal: Principal,
        id: str,
        *,
        from_line: int,
        size: int | None,
        distinct_level: bool,
    ) -> LogPage: ...

    def stream_log(
        self, principal: Principal, id: str, *, from_line: int, levels: frozenset[LogLevel]
    ) -> AsyncGenerator[LogBatch, None]: ...

    def stream_progress(
        self, principal: Principal, id: str
    ) -> AsyncGenerator[ProgressView, None]: ...

    def watch(self, principal: Principal, id: str) -> AsyncGenerator[Job, None]: ...

    async def list_jobs(
        self, principal: Principal, where: JobFilter, *, page_size: int, page_token: str
    ) -> JobPage: ...

    def engines(self) -> Sequence[EngineView]: ...


class Results(Protocol):
    """Reads what jobs left behind. What streams is an async generator, which the edge closes."""

    async def list_results(
        self, principal: Principal, id: str, *, page_size: int, page_token: str
    ) -> ResultSetPage: ...

    async def read_result(
        self, principal: Principal, id: str, index: int, *, page_size: int, page_token: str
    ) -> ResultPage: ...

    def stream_result(
        self, principal: Principal, id: str, index: int, *, offset: int
    ) -> AsyncGenerator[tuple[ResultSet | None, bytes], None]: ...
