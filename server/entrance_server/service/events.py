"""What a runner's events mean to the server. Pure."""

from __future__ import annotations

from entrance.engine.v1 import engine_pb2 as pb
from entrance.signals import signal_name
from entrance.v1 import entrance_pb2
from entrance_server.domain.job import (
    Application,
    Column,
    JobError,
    ProgressInfo,
    Resources,
    ResultSet,
    ResultType,
)
from entrance_server.domain.status import JobStatus
from entrance_server.service.job_log import Level

_STATUS = {
    entrance_pb2.JOB_STATUS_SUCCEED: JobStatus.SUCCEED,
    entrance_pb2.JOB_STATUS_CANCELLED: JobStatus.CANCELLED,
}
_RESULT_TYPE = {
    entrance_pb2.RESULT_TYPE_TABLE: ResultType.TABLE,
    entrance_pb2.RESULT_TYPE_TEXT: ResultType.TEXT,
    entrance_pb2.RESULT_TYPE_PICTURE: ResultType.PICTURE,
    entrance_pb2.RESULT_TYPE_HTML: ResultType.HTML,
}


class LineBuffer:
    """Joins the lines of successive events, for one write."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._count = 0
        self._seq = 0

    def add(self, event: pb.Event) -> None:
        """Adds a log event."""
        self._parts.append(event.log.text)
        self._count += event.log.line_count
        self._seq = event.seq

    def take(self) -> tuple[bytes, int, int]:
        """The text, its number of lines and the last event's number; the buffer is empty then."""
        taken = "".join(self._parts).encode(), self._count, self._seq
        self._parts, self._count = [], 0
        return taken


def progress_info(event: pb.ProgressEvent) -> tuple[ProgressInfo, ...]:
    """The parts of a progress report."""
    return tuple(
        ProgressInfo(
            id=part.id,
            succeed_tasks=part.succeed_tasks,
            failed_tasks=part.failed_tasks,
            running_tasks=part.running_tasks,
            total_tasks=part.total_tasks,
        )
        for part in event.progress_info
    )


def resources(event: pb.ResourceEvent) -> Resources:
    """A measurement."""
    applications = tuple(
        Application(
            application_id=one.application_id,
            queue_name=one.queue_name,
            memory_bytes=one.queue_memory,
            cores=one.queue_cores,
            instances=one.queue_instances,
        )
        for one in event.applications
    )
    return Resources(event.memory_bytes, event.cores, event.processes, applications)


def result_set(event: pb.ResultEvent) -> ResultSet:
    """A result set as the runner declares it."""
    declared = event.result_set
    return ResultSet(
        index=declared.index,
        type=_RESULT_TYPE.get(declared.type, ResultType.TEXT),
        media_type=declared.media_type,
        file_name=event.file_name,
        row_count=declared.row_count,
        size_bytes=declared.size_bytes,
        columns=tuple(Column(one.name, one.data_type, one.comment) for one in declared.columns),
        statement=declared.statement,
    )


def outcome(end: pb.EndEvent) -> tuple[JobStatus, JobError | None]:
    """How the run ended."""
    status = _STATUS.get(end.status, JobStatus.FAILED)
    error = JobError(end.error.code, end.error.message) if status is JobStatus.FAILED else None
    return status, error


def end_line(status: JobStatus, error: JobError | None) -> tuple[Level, str]:
    """The last line of a job that ended by its own code."""
    if status is JobStatus.SUCCEED:
        return "INFO", "Your job has ended: Succeed."
    detail = f" errCode: {error.code} ,desc: {error.message}" if error else ""
    return "ERROR", f"Your job has ended: {status}.{detail}"


def exit_sentence(status: int | None) -> str | None:
    """How a process ended, in words; None where that is not known."""
    if status is None:
        return None
    if status < 0:
        return f"its process was ended by {signal_name(-status)}"
    return f"its process ended with exit status {status}"
