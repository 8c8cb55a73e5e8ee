"""What engines report, as messages of the protocol."""

from __future__ import annotations

from collections.abc import Sequence

from entrance.engine.v1 import engine_pb2 as pb
from entrance.v1 import entrance_pb2
from entrance_runner.engine import Application, Part, Progress
from entrance_runner.errors import ErrorCode, RunFailed
from entrance_runner.resources import Resources
from entrance_runner.results import ResultFile


def progress_event(progress: Progress) -> pb.ProgressEvent:
    """Progress with its parts."""
    return pb.ProgressEvent(
        progress=progress.fraction, progress_info=[_progress_info(part) for part in progress.parts]
    )


def resource_event(used: Resources, applications: Sequence[Application]) -> pb.ResourceEvent:
    """A measurement of the processes here, and what is used on clusters."""
    return pb.ResourceEvent(
        memory_bytes=used.memory_bytes,
        cores=used.cores,
        processes=used.processes,
        applications=map(_application, applications),
    )


def result_event(result: ResultFile) -> pb.ResultEvent:
    """A result set and the name of its file."""
    columns = [
        entrance_pb2.Column(name=column.name, data_type=column.data_type)
        for column in result.columns
    ]
    return pb.ResultEvent(
        file_name=result.file_name,
        result_set=entrance_pb2.ResultSet(
            index=result.index,
            type=entrance_pb2.ResultType.Value(f"RESULT_TYPE_{result.kind}"),
            media_type=result.media_type,
            row_count=result.row_count,
            size_bytes=result.size_bytes,
            columns=columns,
            statement=result.statement,
        ),
    )


def end_event(failure: RunFailed | None, *, session_usable: bool) -> pb.EndEvent:
    """How a run ended; None means well."""
    if failure is None:
        return pb.EndEvent(status=entrance_pb2.JOB_STATUS_SUCCEED, session_usable=session_usable)
    cancelled = failure.code is ErrorCode.CANCELLED
    return pb.EndEvent(
        status=entrance_pb2.JOB_STATUS_CANCELLED if cancelled else entrance_pb2.JOB_STATUS_FAILED,
        error=entrance_pb2.JobError(code=failure.code, message=failure.message),
        session_usable=session_usable,
    )


def _application(one: Application) -> entrance_pb2.YarnResource:
    return entrance_pb2.YarnResource(
        application_id=one.id,
        queue_name=one.queue,
        queue_memory=one.memory_bytes,
        queue_cores=one.cores,
        queue_instances=one.instances,
    )


def _progress_info(part: Part) -> entrance_pb2.ProgressInfo:
    return entrance_pb2.ProgressInfo(
        id=part.id,
        succeed_tasks=part.succeeded,
        failed_tasks=part.failed,
        running_tasks=part.running,
        total_tasks=part.total,
    )
