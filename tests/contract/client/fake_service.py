"""A small service in this process: jobs run a script of a few words, and calls fail on demand."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import pyarrow as pa
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

TOKEN = "secret"
TABLE = pa.table(
    {
        "city": ["Bern", None, 'Łódź, "PL"', ""],
        "people": pa.array([134_794, 2**62, None, 0], pa.int64()),
        "mean": [1.5, float("nan"), None, 2.0],
        "tags": pa.array([["a"], [], None, ["b", "c"]], pa.list_(pa.string())),
        "old": [True, None, False, True],
    }
)
COLUMN_TYPES = ("string", "bigint", "double", "array", "boolean")
CELLS: Sequence[Sequence[str | None]] = (
    ("Bern", "134794", "1.5", '["a"]', "true"),
    (None, str(2**62), "nan", "[]", None),
    ('Łódź, "PL"', None, None, None, "false"),
    ("", "0", "2.0", '["b", "c"]', "true"),
)
PICTURE = b"\x89PNG\r\n" + bytes(range(256))
RUNNING = pb.JOB_STATUS_RUNNING
FINAL = range(pb.JOB_STATUS_SUCCEED, pb.JOB_STATUS_TIMEOUT + 1)


def error(
    code: int,
    message: str,
    *,
    reason: str = "SOME_REASON",
    err_code: int | None = None,
    violations: Sequence[tuple[str, str]] = (),
) -> status_pb2.Status:
    """A status with the details that the service sends."""
    metadata = {} if err_code is None else {"errCode": str(err_code)}
    info = error_details_pb2.ErrorInfo(domain="entrance", reason=reason, metadata=metadata)
    wrong = [
        error_details_pb2.BadRequest.FieldViolation(field=name, description=text)
        for name, text in violations
    ]
    details = [info, *([error_details_pb2.BadRequest(field_violations=wrong)] if wrong else [])]
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code, message=message, details=packed)


def unavailable() -> status_pb2.Status:
    """What a connection that broke looks like."""
    return status_pb2.Status(code=code_pb2.UNAVAILABLE, message="the connection broke")


@dataclass
class FakeJob:
    """A job with its lines and result sets."""

    record: pb.Job
    lines: list[tuple[pb.LogLevel.ValueType, str]] = field(default_factory=list)
    results: list[tuple[pb.ResultSet, bytes]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.record.status in FINAL


class FakeService(entrance_pb2_grpc.EntranceServiceServicer):
    """The public API over jobs in memory.

    A job's code has a command on each line: `info TEXT`, `warn TEXT`, `error TEXT`, `table`,
    `text TEXT`, `html TEXT`, `picture`, and an ending: `fail TEXT`, `cancel`, `timeout` or `hang`;
    without one it succeeds.

    Attributes:
        calls: how often each RPC was called.
        faults: errors for the next calls of an RPC, as (messages that go through before it, error).
        requests: the last request of each RPC.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.jobs: dict[int, FakeJob] = {}
        self.calls: Counter[str] = Counter()
        self.requests: dict[str, Any] = {}
        self.faults: dict[str, list[tuple[int, status_pb2.Status]]] = {}
        self.submitted: dict[str, int] = {}
        self.open_streams = 0
        self.resend_lines = 0

    def break_next(
        self, rpc: str, *, after: int = 0, error: status_pb2.Status | None = None
    ) -> None:
        """Lets the next call of an RPC fail after so many messages."""
        self.faults.setdefault(rpc, []).append((after, error or unavailable()))

    def create(self, code: str, engine: str = "shell") -> int:
        """Makes a job without a call; its taskID."""
        request = pb.SubmitRequest(
            execution_content=pb.ExecutionContent(code=code, run_type=engine),
            labels={"engineType": engine},
            request_id=f"created {len(self.jobs)}",
        )
        with self.changed:
            return self._create(request).record.task_id

    def append(
        self, task_id: int, text: str, level: pb.LogLevel.ValueType = pb.LOG_LEVEL_INFO
    ) -> None:
        """Writes a line to a job's log."""
        with self.changed:
            self.jobs[task_id].lines.append((level, text))
            self.changed.notify_all()

    def end(self, task_id: int, status: pb.JobStatus.ValueType, message: str = "") -> None:
        """Ends a job."""
        with self.changed:
            record = self.jobs[task_id].record
            record.status, record.progress, record.paused = status, 1.0, False
            record.end_time.GetCurrentTime()
            if message:
                record.error.code, record.error.message = 21304, message
            self.changed.notify_all()

    # unary calls

    def Submit(self, request: pb.SubmitRequest, context: grpc.ServicerContext) -> pb.SubmitResponse:
        self._enter("Submit", request, context)
        if not request.execution_content.code.strip():
            self._abort(
                context,
                error(
                    code_pb2.INVALID_ARGUMENT,
                    "The code is blank; send the code to run.",
                    reason="CODE_BLANK",
                    err_code=20007,
                    violations=[("executionContent.code", "must not be blank")],
                ),
            )
        with self.changed:
            known = self.submitted.get(request.request_id)
            job = self.jobs[known] if known else self._create(request)
        self._pass(context, "Submit")
        return pb.SubmitResponse(exec_id=job.record.exec_id, task_id=job.record.task_id)

    def Status(self, request: pb.StatusRequest, context: grpc.ServicerContext) -> pb.StatusResponse:
        record = self._find("Status", request, context).record
        return pb.StatusResponse(
            status=record.status, exec_id=record.exec_id, task_id=record.task_id
        )

    def GetJob(self, request: pb.GetJobRequest, context: grpc.ServicerContext) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=self._find("GetJob", request, context).record)

    def Log(self, request: pb.LogRequest, context: grpc.ServicerContext) -> pb.LogResponse:
        job = self._find("Log", request, context)
        first = max(request.from_line, 1)
        lines = job.lines[first - 1 : first - 1 + request.size]
        by_level = [
            [text for level, text in lines if level == wanted and text]
            for wanted in (pb.LOG_LEVEL_ERROR, pb.LOG_LEVEL_WARN, pb.LOG_LEVEL_INFO)
        ]
        return pb.LogResponse(
            from_line=first + len(lines),
            log=["\n".join(texts) for texts in [*by_level, [text for _, text in lines]]],
        )

    def Kill(self, request: pb.KillRequest, context: grpc.ServicerContext) -> pb.KillResponse:
        job = self._find("Kill", request, context)
        if job.ended:
            self._abort(context, self._ended(job))
        self.end(job.record.task_id, pb.JOB_STATUS_CANCELLED)
        self._pass(context, "Kill")
        return pb.KillResponse()

    def KillJobs(
        self, request: pb.KillJobsRequest, context: grpc.ServicerContext
    ) -> pb.KillJobsResponse:
        self._enter("KillJobs", request, context)
        answer = pb.KillJobsResponse()
        for id in request.id_list:
            job = self._lookup(id)
            if job is None:
                answer.messages.add(id=id, status=self._unknown(id))
            elif job.ended:
                answer.messages.add(id=id, task_id=job.record.task_id, status=self._ended(job))
            else:
                self.end(job.record.task_id, pb.JOB_STATUS_CANCELLED)
                answer.messages.add(
                    id=id,
                    exec_id=job.record.exec_id,
                    task_id=job.record.task_id,
                    status=status_pb2.Status(code=code_pb2.OK),
                )
        return answer

    def Pause(self, request: pb.PauseRequest, context: grpc.ServicerContext) -> pb.PauseResponse:
        self._set_paused("Pause", request, context, True)
        return pb.PauseResponse()

    def Resume(self, request: pb.ResumeRequest, context: grpc.ServicerContext) -> pb.ResumeResponse:
        self._set_paused("Resume", request, context, False)
        return pb.ResumeResponse()

    def ListEngines(
        self, request: pb.ListEnginesRequest, context: grpc.ServicerContext
    ) -> pb.ListEnginesResponse:
        self._enter("ListEngines", request, context)
        return pb.ListEnginesResponse(
            engines=[
                pb.Engine(
                    engine_type="duckdb", version="1.5", run_types=["sql"], description="SQL here."
                ),
                pb.Engine(engine_type="python", run_types=["python", "py"]),
                pb.Engine(engine_type="shell", run_types=["shell", "sh"]),
            ]
        )

    def ListJobs(
        self, request: pb.ListJobsRequest, context: grpc.ServicerContext
    ) -> pb.ListJobsResponse:
        self._enter("ListJobs", request, context)
        size = request.page_size or 50
        start = int(request.page_token or 0)
        chosen = [
            job.record
            for job in reversed(self.jobs.values())
            if not request.statuses or job.record.status in request.statuses
        ]
        more = start + size < len(chosen)
        return pb.ListJobsResponse(
            jobs=chosen[start : start + size], next_page_token=str(start + size) if more else ""
        )

    def ListResults(
        self, request: pb.ListResultsRequest, context: grpc.ServicerContext
    ) -> pb.ListResultsResponse:
        job = self._find("ListResults", request, context)
        return pb.ListResultsResponse(result_sets=[info for info, _ in job.results])

    def ReadResult(
        self, request: pb.ReadResultRequest, context: grpc.ServicerContext
    ) -> pb.ReadResultResponse:
        info, _content = self._result("ReadResult", request, context)
        answer = pb.ReadResultResponse(result_set=info)
        if info.type == pb.RESULT_TYPE_TABLE:
            start = int(request.page_token or 0)
            end = start + min(request.page_size, 3)
            for cells in CELLS[start:end]:
                row = answer.rows.add()
                for text in cells:
                    row.cells.add(**({} if text is None else {"text": text}))
            answer.next_page_token = str(end) if end < len(CELLS) else ""
        return answer

    # streams

    def StreamLog(
        self, request: pb.StreamLogRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.StreamLogResponse]:
        job = self._find("StreamLog", request, context)
        position = max(request.from_line, 1)
        if position > 1:
            position = max(1, position - self.resend_lines)

        def next_message() -> pb.StreamLogResponse | None:
            nonlocal position
            if position > len(job.lines):
                return (
                    pb.StreamLogResponse(next_line=position, status=job.record.status)
                    if job.ended
                    else None
                )
            level, text = job.lines[position - 1]
            chunk = pb.LogChunk(from_line=position, line_count=1, level=level, text=text + "\n")
            position += 1
            wanted = not request.levels or level in request.levels
            return pb.StreamLogResponse(chunks=[chunk] if wanted else [], next_line=position)

        yield from self._stream("StreamLog", context, next_message, lambda m: bool(m.status))

    def StreamProgress(
        self, request: pb.StreamProgressRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.StreamProgressResponse]:
        job = self._find("StreamProgress", request, context)
        last: pb.StreamProgressResponse | None = None

        def next_message() -> pb.StreamProgressResponse | None:
            nonlocal last
            now = pb.StreamProgressResponse(
                progress=job.record.progress,
                exec_id=job.record.exec_id,
                task_id=job.record.task_id,
                progress_info=[pb.ProgressInfo(id="statement 1", running_tasks=1, total_tasks=2)],
                status=job.record.status,
                paused=job.record.paused,
            )
            now.yarn_metrics.yarn_resource.add(queue_memory=2**20, queue_cores=0.5)
            now.yarn_metrics.memory_percent = 0.25
            if now == last:
                return None
            last = now
            return now

        yield from self._stream(
            "StreamProgress", context, next_message, lambda m: m.status in FINAL
        )

    def WatchJob(
        self, request: pb.WatchJobRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchJobResponse]:
        job = self._find("WatchJob", request, context)
        last = b""

        def next_message() -> pb.WatchJobResponse | None:
            nonlocal last
            now = job.record.SerializeToString(deterministic=True)
            if now == last:
                return None
            last = now
            return pb.WatchJobResponse(job=pb.Job.FromString(now))

        yield from self._stream("WatchJob", context, next_message, lambda m: m.job.status in FINAL)

    def StreamResult(
        self, request: pb.StreamResultRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.StreamResultResponse]:
        info, content = self._result("StreamResult", request, context)
        if info.type == pb.RESULT_TYPE_TABLE:
            data = arrow_stream(TABLE.slice(request.offset))
        else:
            data = content[request.offset :]
        messages = [
            pb.StreamResultResponse(data=data[i : i + 100]) for i in range(0, len(data), 100)
        ]
        waiting = iter([*messages, pb.StreamResultResponse()])
        yield from self._stream("StreamResult", context, waiting.__next__, lambda m: not m.data)

    # below them

    def _stream(
        self,
        rpc: str,
        context: grpc.ServicerContext,
        next_message: Callable[[], Any],
        is_last: Callable[[Any], bool],
    ) -> Iterator[Any]:
        faults = self.faults.get(rpc, [])
        left, fault = faults.pop(0) if faults else (-1, None)
        with self.changed:
            self.open_streams += 1
        try:
            while context.is_active():
                if fault is not None and left == 0:
                    self._abort(context, fault)
                with self.changed:
                    message = next_message()
                    if message is None:
                        self.changed.wait(0.05)
                        continue
                yield message
                if is_last(message):
                    return
                left -= 1
        finally:
            with self.changed:
                self.open_streams -= 1
                self.changed.notify_all()

    def _create(self, request: pb.SubmitRequest) -> FakeJob:
        task_id = len(self.jobs) + 1
        content = request.execution_content
        record = pb.Job(
            exec_id=f"exec_id008004entrancehostIDE_alice_{task_id}",
            task_id=task_id,
            status=RUNNING,
            submit_user="alice",
            execute_user=request.execute_user or "alice",
            creator=request.labels["creator"] or "IDE",
            engine_type=request.labels["engineType"],
            run_type=content.run_type,
            code=content.code,
            labels=request.labels,
            params=request.params,
            source=request.source,
            priority=request.priority,
            instance="host",
            attempt=1,
        )
        record.create_time.GetCurrentTime()
        record.start_time.GetCurrentTime()
        job = self.jobs[task_id] = FakeJob(record)
        self.submitted[request.request_id] = task_id
        self._run(job, content.code)
        return job

    def _run(self, job: FakeJob, code: str) -> None:
        ending, message = pb.JOB_STATUS_SUCCEED, ""
        for command in code.splitlines():
            word, _, rest = command.partition(" ")
            match word:
                case "info" | "warn" | "error":
                    job.lines.append((pb.LogLevel.Value(f"LOG_LEVEL_{word.upper()}"), rest))
                case "table" | "text" | "picture" | "html":
                    self._add_result(job, word, rest)
                case "fail":
                    ending, message = pb.JOB_STATUS_FAILED, rest
                case "cancel":
                    ending = pb.JOB_STATUS_CANCELLED
                case "timeout":
                    ending, message = pb.JOB_STATUS_TIMEOUT, "it ran longer than its limit"
                case "hang":
                    return
        self.end(job.record.task_id, ending, message)

    def _add_result(self, job: FakeJob, kind: str, text: str) -> None:
        content = {"table": b"", "picture": PICTURE}.get(kind, text.encode())
        info = pb.ResultSet(
            index=len(job.results),
            type=pb.ResultType.Value(f"RESULT_TYPE_{kind.upper()}"),
            media_type={"picture": "image/png", "html": "text/html"}.get(kind, ""),
            size_bytes=len(content),
        )
        if kind == "table":
            info.row_count = TABLE.num_rows
            for name, type_name in zip(TABLE.column_names, COLUMN_TYPES, strict=True):
                info.columns.add(name=name, data_type=type_name)
        job.results.append((info, content))
        job.record.result_count += 1

    def _enter(self, rpc: str, request: Any, context: grpc.ServicerContext) -> None:
        with self.changed:
            self.calls[rpc] += 1
            self.requests[rpc] = request
            self.changed.notify_all()
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {TOKEN}":
            self._abort(
                context,
                error(
                    code_pb2.UNAUTHENTICATED,
                    "The call carries no valid token.",
                    reason="UNAUTHENTICATED",
                ),
            )
        if not rpc.startswith(("Stream", "Watch", "Submit", "Kill")):
            self._pass(context, rpc)

    def _pass(self, context: grpc.ServicerContext, rpc: str) -> None:
        if self.faults.get(rpc):
            self._abort(context, self.faults[rpc].pop(0)[1])

    def _find(self, rpc: str, request: Any, context: grpc.ServicerContext) -> FakeJob:
        self._enter(rpc, request, context)
        job = self._lookup(request.id)
        if job is None:
            self._abort(context, self._unknown(request.id))
        return job

    def _lookup(self, id: str) -> FakeJob | None:
        number = id.rpartition("_")[2]
        return self.jobs.get(int(number)) if number.isdecimal() else None

    def _result(
        self, rpc: str, request: Any, context: grpc.ServicerContext
    ) -> tuple[pb.ResultSet, bytes]:
        job = self._find(rpc, request, context)
        if request.index >= len(job.results):
            message = f"Job {job.record.task_id} has no result set {request.index}."
            self._abort(context, error(code_pb2.NOT_FOUND, message, reason="NO_RESULT"))
        index: int = request.index
        return job.results[index]

    def _set_paused(
        self, rpc: str, request: Any, context: grpc.ServicerContext, paused: bool
    ) -> None:
        job = self._find(rpc, request, context)
        if job.ended:
            self._abort(context, self._ended(job))
        with self.changed:
            job.record.paused = paused
            self.changed.notify_all()

    def _unknown(self, id: str) -> status_pb2.Status:
        return error(code_pb2.NOT_FOUND, f"There is no job '{id}'.", reason="NOT_FOUND")

    def _ended(self, job: FakeJob) -> status_pb2.Status:
        return error(
            code_pb2.FAILED_PRECONDITION,
            f"Job {job.record.task_id} has ended already.",
            reason="JOB_ENDED",
        )

    def _abort(self, context: grpc.ServicerContext, status: status_pb2.Status) -> NoReturn:
        context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort raises")


def fake_service() -> FakeService:
    """A service without jobs; RPCs that the client does not call are left out of it."""
    return FakeService()  # type: ignore[abstract]


def arrow_stream(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream with two rows to a batch."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


@contextmanager
def serving(service: FakeService, port: int = 0) -> Iterator[int]:
    """Serves on a port of the loopback until the block ends."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    entrance_pb2_grpc.add_EntranceServiceServicer_to_server(service, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield bound
    finally:
        server.stop(None).wait()
