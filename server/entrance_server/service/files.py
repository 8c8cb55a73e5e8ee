"""Reads logs and results by the names that callers send as paths. See `domain.paths`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from entrance_server.domain import errors, paths
from entrance_server.domain.job import Column, Job, Principal, ResultSet, ResultType
from entrance_server.domain.paths import LogPath, ResultSetPath, ResultsPath
from entrance_server.logs import LogStore, LogUnavailable, format_line, levels
from entrance_server.logs.levels import LogLevel
from entrance_server.results import Exports, PageTooLarge, ResultFiles, Window
from entrance_server.results.exports import MAX_COLUMNS
from entrance_server.service import file_requests as asked
from entrance_server.service.file_requests import ExportRequest, FileFormat, PageRequest
from entrance_server.service.job_log import utc_now
from entrance_server.service.jobs import Jobs, require_files
from entrance_server.store.port import Store

PARQUET = "application/vnd.apache.parquet"
LOG_PIECE = 256 * 1024  # bytes
RESULTS_AT_ONCE = 1_000
ALL_LINES = 2**63 - 1

Pieces = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much is told at once, and how much an export has unless it is asked for more."""

    page_rows: int
    page_bytes: int
    cell_characters: int
    log_bytes: int
    export_rows: int


@dataclass(frozen=True, slots=True)
class ResultEntry:
    """A result set in a listing."""

    path: ResultSetPath
    size_bytes: int
    modify_time: datetime


@dataclass(frozen=True, slots=True)
class ResultListing:
    """The result sets of a job, in order."""

    path: ResultsPath
    entries: Sequence[ResultEntry]


@dataclass(frozen=True, slots=True)
class FilePage:
    """A page of a result set: rows of text (None for NULL), or the whole of what is no table.

    `is_prohibited` tells that it is too large to be shown; it has no content then.
    """

    result: ResultSet
    page: int
    total_pages: int
    columns: Sequence[Column] = ()
    rows: Sequence[Sequence[str | None]] = ()
    content: bytes = b""
    is_prohibited: bool = False


@dataclass(frozen=True, slots=True)
class FileHead:
    """What a file is called, and its media type."""

    name: str
    media_type: str


class FileService:
    """Lists, opens and sends what jobs left behind.

    Every method takes a path as the caller wrote it, and raises

        InvalidRequest: the path is empty, or another thing in the request is wrong.
        PermissionDenied: it is no path of ours, or the job is somebody else's.
        NotFound: there is no such job, or it has nothing of that kind there.
        Removed: what it had there was removed.
    """

    def __init__(
        self,
        *,
        jobs: Jobs,
        store: Store,
        logs: LogStore,
        files: ResultFiles,
        exports: Exports,
        limits: FileLimits,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._logs = logs
        self._files = files
        self._exports = exports
        self._limits = limits
        self._clock = clock

    async def tree(self, principal: Principal, path: str) -> ResultListing | None:
        """The result sets of a job; None where there is no such job.

        Raises:
            Removed: there were some, and they were removed.
        """
        place = paths.parse(path)
        if not isinstance(place, ResultsPath):
            raise _not_there(place, "a place of result sets")
        try:
            job = await self._job(principal, place)
        except errors.Removed:
            raise
        except errors.NotFound:
            return None
        entries: list[ResultEntry] = []
        found: Sequence[ResultSet] = ()
        while not entries or len(found) == RESULTS_AT_ONCE:
            after = entries[-1].path.index if entries else -1
            found = await self._store.list_results(
                job.task_id, limit=RESULTS_AT_ONCE, after_index=after
            )
            if not found:
                break
            times = await self._files.modify_times(job.task_id, found)
            entries += [
                ResultEntry(ResultSetPath(job.task_id, one.index), one.size_bytes, time)
                for one, time in zip(found, times, strict=True)
            ]
        return ResultListing(place, entries)

    async def open_result(self, principal: Principal, path: str, request: PageRequest) -> FilePage:
        """A page of a result set."""
        rows, columns = request.window(self._limits.page_rows)
        job, result = await self._result(principal, path)
        try:
            if result.type is ResultType.TABLE:
                return await self._open_table(job, result, request, rows, columns)
            return await self._open_content(job, result, rows)
        except PageTooLarge:
            return self._too_large(result, request, rows)

    async def _open_table(
        self, job: Job, result: ResultSet, request: PageRequest, rows: range, columns: slice
    ) -> FilePage:
        window = Window(
            rows,
            columns,
            max_bytes=self._limits.page_bytes,
            max_cell=self._limits.cell_characters if request.for_display else None,
            null_bytes=len(request.null_value.encode()),
        )
        cells = await self._files.read_window(job.task_id, result, window)
        return FilePage(
            result,
            page=_page_of(rows),
            total_pages=-(-result.row_count // len(rows)),
            columns=result.columns[columns],
            rows=cells,
        )

    async def _open_content(self, job: Job, result: ResultSet, rows: range) -> FilePage:
        """Another kind is one row, and so one page."""
        if result.size_bytes > self._limits.page_bytes:
            raise PageTooLarge
        content = b""
        if rows.start == 0:
            content = await self._files.read_bytes(job.task_id, result, 0, result.size_bytes)
        return FilePage(result, page=_page_of(rows), total_pages=1, content=content)

    def _too_large(self, result: ResultSet, request: PageRequest, rows: range) -> FilePage:
        is_table = result.type is ResultType.TABLE
        if request.for_display:
            total = -(-result.row_count // len(rows)) if is_table else 1
            return FilePage(result, _page_of(rows), total, result.columns, is_prohibited=True)
        most = f"more than {self._limits.page_bytes:,} bytes"
        if is_table:
            raise errors.InvalidRequest(
                f"The page has {most}; ask for fewer rows or columns, or for the whole table by "
                "resultsetToExcel.",
                reason="PAGE_TOO_LARGE",
                err_code=asked.TABLE_TOO_LARGE,
            )
        raise errors.InvalidRequest(
            f"The result has {most}; ask for it by download.",
            reason="CONTENT_TOO_LARGE",
            err_code=asked.CONTENT_TOO_LARGE,
        )

    async def open_log(
        self, principal: Principal, path: str, wanted: frozenset[LogLevel]
    ) -> Sequence[str]:
        """A log as four texts, ERROR, WARN, INFO and ALL; with levels named, those alone.

        A log that is too large has its last part alone, and a first line that says so.
        """
        place = paths.parse(path)
        if not isinstance(place, LogPath):
            raise _not_there(place, "a log")
        job = await self._job(principal, place)
        end = await self._logs.read_end(job.task_id, max_bytes=self._limits.log_bytes)
        text = end.text
        if end.from_line > 1:
            text = self._left_out(end.from_line - 1) + text
        # in a thread, since a large log takes a while
        split = await asyncio.to_thread(levels.split_four, text.decode())
        if not wanted:
            return split
        order = (LogLevel.ERROR, LogLevel.WARN, LogLevel.INFO)
        chosen = (
            part if level in wanted else "" for level, part in zip(order, split, strict=False)
        )
        return (*chosen, "")

    def _left_out(self, lines: int) -> bytes:
        told = f"The first {lines:,} lines are left out here; ask for the whole log by download."
        line, _ = format_line("WARN", told, self._clock())
        return line

    async def export(
        self, principal: Principal, path: str, request: ExportRequest
    ) -> tuple[FileHead, Pieces]:
        """A table in another format. A piece may be empty, which only tells that it goes on."""
        wanted, separator = request.format, request.separator
        job, table = await self._result(principal, path)
        _check_table(table, wanted)
        rows = request.limit or self._limits.export_rows
        limit = rows if rows > 0 else None
        if wanted is FileFormat.CSV:
            pieces = self._exports.csv(
                job.task_id, table, separator=separator, null=request.null_value, limit=limit
            )
        else:
            pieces = self._exports.workbook(
                job.task_id,
                table,
                user=principal.user,
                sheet_name=request.sheet,
                null=request.null_value,
                limit=limit,
            )
        return FileHead(request.file_name, wanted.media_type), pieces

    async def download(self, principal: Principal, path: str) -> tuple[FileHead, Pieces]:
        """A log as far as it goes now, or a result set as it is stored.

        Raises:
            LogUnavailable, ResultUnavailable: in the middle too, when it is removed meanwhile.
        """
        place = paths.parse(path)
        if isinstance(place, LogPath):
            job = await self._job(principal, place)
            head = FileHead(f"{job.task_id}.log", "text/plain; charset=utf-8")
            return head, self._log(job)
        job, result = await self._result(principal, path)
        is_table = result.type is ResultType.TABLE
        media_type = PARQUET if is_table else result.media_type
        name = asked.stored_name(f"{job.task_id}_{result.index}", media_type)
        return FileHead(name, media_type), self._files.stream_file(job.task_id, result)

    async def _log(self, job: Job) -> Pieces:
        line, end = 1, await self._logs.next_line(job.task_id)
        while line < end:
            part = await self._logs.read(
                job.task_id, line, max_lines=end - line, max_bytes=LOG_PIECE
            )
            if not part.line_count:  # it was removed meanwhile, and what was sent is not the whole
                raise LogUnavailable(f"log {job.task_id} went while it was sent")
            yield part.text
            line += part.line_count

    async def _result(self, principal: Principal, path: str) -> tuple[Job, ResultSet]:
        place = paths.parse(path)
        if not isinstance(place, ResultSetPath):
            raise _not_there(place, "a result set")
        job = await self._job(principal, place)
        result = await self._store.get_result(job.task_id, place.index)
        if result is None:
            raise _not_there(place, f"one of the job's {job.result_count} result sets")
        return job, result

    async def _job(self, principal: Principal, place: paths.JobPath) -> Job:
        unseen = f"There is nothing at '{place}', or it is not yours."
        try:
            job = await self._jobs.find(principal, str(place.task_id))
        except errors.NotFound as error:
            raise errors.NotFound(unseen, err_code=asked.JOB_MISSING) from error
        except errors.PermissionDenied as error:
            raise errors.PermissionDenied(unseen, err_code=paths.DENIED) from error
        what = "log" if isinstance(place, LogPath) else "results"
        require_files(job, what, err_code=asked.NOT_THERE)
        return job


def _not_there(place: paths.JobPath, wanted: str) -> errors.NotFound:
    return errors.NotFound(
        f"'{place}' is not {wanted}; send a path as the job's history or getDirFileTrees told it.",
        reason="NO_SUCH_FILE",
        err_code=asked.NOT_THERE,
    )


def _page_of(rows: range) -> int:
    return rows.start // len(rows) + 1


def _check_table(result: ResultSet, wanted: FileFormat) -> None:
    if result.type is not ResultType.TABLE:
        raise errors.InvalidRequest(
            f"The result set is {result.type}, not a table; ask for it by download.",
            reason="NOT_A_TABLE",
            err_code=asked.NOT_A_TABLE,
        )
    if wanted is FileFormat.XLSX and len(result.columns) > MAX_COLUMNS:
        raise errors.InvalidRequest(
            f"The table has {len(result.columns):,} columns, more than the {MAX_COLUMNS:,} that a "
            "workbook can have; ask for csv.",
            reason="TOO_MANY_COLUMNS",
            err_code=asked.TABLE_TOO_LARGE,
        )
