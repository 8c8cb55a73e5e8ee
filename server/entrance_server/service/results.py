"""Reads the result sets of jobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from entrance_server.domain import errors
from entrance_server.domain.job import Job, Principal, ResultSet, ResultType
from entrance_server.results import ResultFiles
from entrance_server.service import page_tokens
from entrance_server.service.jobs import Jobs, require_files
from entrance_server.service.views import ResultPage, ResultSetPage
from entrance_server.store.port import Store

DEFAULT_SETS = 100
MAX_SETS = 1_000
DEFAULT_ROWS = 100
MAX_ROWS = 10_000
CONTENT_BYTES = 1024 * 1024


class ResultService:
    """Lists, pages and streams results."""

    def __init__(self, *, jobs: Jobs, store: Store, files: ResultFiles) -> None:
        self._jobs = jobs
        self._store = store
        self._files = files

    async def list_results(
        self, principal: Principal, id: str, *, page_size: int, page_token: str
    ) -> ResultSetPage:
        """A page of a job's result sets.

        Raises:
            InvalidRequest, NotFound, PermissionDenied: as Jobs.find, here and in all below.
            Removed: the results were removed, here and in all below.
            InvalidRequest: the page size is negative, or the token is of another query.
        """
        job = await self._jobs.find(principal, id)
        require_files(job, "results")
        limit = page_tokens.size(page_size, default=DEFAULT_SETS, most=MAX_SETS)
        query = ["results", job.task_id]
        start = page_tokens.decode(page_token, query, first=0)
        sets = await self._store.list_results(job.task_id, limit=limit + 1, after_index=start - 1)
        page = sets[:limit]
        more = len(sets) > limit
        return ResultSetPage(page, page_tokens.encode(page[-1].index + 1, query) if more else "")

    async def read_result(
        self, principal: Principal, id: str, index: int, *, page_size: int, page_token: str
    ) -> ResultPage:
        """A page of one result set.

        Raises:
            InvalidRequest: the page size is negative, or the token is of another query.
            NotFound: the job has no such result set.
        """
        job, result = await self._result(principal, id, index)
        rows = page_tokens.size(page_size, default=DEFAULT_ROWS, most=MAX_ROWS)
        query = ["result", job.task_id, index]
        start = page_tokens.decode(page_token, query, first=0)
        if result.type is ResultType.TABLE:
            table = await self._files.read_rows(job.task_id, result, start, rows)
            end, total = start + len(table), result.row_count
            token = page_tokens.encode(end, query) if table and end < total else ""
            return ResultPage(result, table, b"", token)
        content = await self._files.read_bytes(job.task_id, result, start, CONTENT_BYTES)
        end = start + len(content)
        token = page_tokens.encode(end, query) if content and end < result.size_bytes else ""
        return ResultPage(result, (), content, token)

    async def stream_result(
        self, principal: Principal, id: str, index: int, *, offset: int
    ) -> AsyncGenerator[tuple[ResultSet | None, bytes], None]:
        """A whole result set in pieces; the first item carries the result set.

        Raises:
            InvalidRequest: the offset is negative.
            NotFound: the job has no such result set.
        """
        if offset < 0:
            raise errors.InvalidRequest(
                f"offset is {offset}; send how many rows or bytes to leave out, 0 for none.",
                reason="NEGATIVE_OFFSET",
                violations=[errors.FieldViolation("offset", "must not be negative")],
            )
        job, result = await self._result(principal, id, index)
        yield result, b""
        async with aclosing(self._files.stream(job.task_id, result, offset)) as pieces:
            async for data in pieces:
                yield None, data

    async def _result(self, principal: Principal, id: str, index: int) -> tuple[Job, ResultSet]:
        job = await self._jobs.find(principal, id)
        require_files(job, "results")
        result = await self._store.get_result(job.task_id, index)
        if result is None:
            raise errors.NotFound(
                f"Job {job.task_id} has no result set {index}; it has {job.result_count}, "
                "counted from 0.",
                reason="NO_SUCH_RESULT",
            )
        return job, result
