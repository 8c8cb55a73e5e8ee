"""What callers are told: from the service's terms to the public proto."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from google.protobuf import timestamp_pb2
from google.rpc import status_pb2

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.job import (
    Column,
    Job,
    JobError,
    JobParams,
    ProgressInfo,
    ResultSet,
    ResultType,
)
from entrance_server.logs.levels import LogLevel
from entrance_server.rpc import enums, errors, yarn
from entrance_server.service.views import (
    EngineView,
    JobPage,
    KillOutcome,
    LogPage,
    PreviewView,
    ProgressView,
    ResultPage,
    ResultSetPage,
)

ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
DATA_BYTES: Final = 1024 * 1024  # of a result set in one message


def status(job: Job) -> pb.StatusResponse:
    """Where a job is in its life."""
    return pb.StatusResponse(
        status=enums.STATUS_TO_PROTO[job.status], exec_id=job.exec_id, task_id=job.task_id
    )


def preview(view: PreviewView) -> pb.PreviewResponse:
    """What would run."""
    notes = [
        pb.PreviewNote(level=enums.LEVEL_TO_PROTO[LogLevel[note.level]], text=note.text)
        for note in view.notes
    ]
    return pb.PreviewResponse(code=view.code, statements=view.statements, notes=notes)


def progress(view: ProgressView) -> pb.ProgressResponse:
    """How far a job is."""
    return pb.ProgressResponse(
        progress=view.progress,
        exec_id=view.job.exec_id,
        task_id=view.job.task_id,
        progress_info=_parts(view),
    )


def progress_with_resource(
    view: ProgressView, machine: yarn.Machine
) -> pb.ProgressWithResourceResponse:
    """How far a job is and what it uses."""
    return pb.ProgressWithResourceResponse(
        progress=view.progress,
        exec_id=view.job.exec_id,
        task_id=view.job.task_id,
        progress_info=_parts(view),
        yarn_metrics=_metrics(view, machine),
    )


def progress_change(view: ProgressView, machine: yarn.Machine) -> pb.StreamProgressResponse:
    """One message of StreamProgress."""
    return pb.StreamProgressResponse(
        progress=view.progress,
        exec_id=view.job.exec_id,
        task_id=view.job.task_id,
        progress_info=_parts(view),
        yarn_metrics=_metrics(view, machine),
        status=enums.STATUS_TO_PROTO[view.job.status],
        paused=view.job.paused,
    )


def _parts(view: ProgressView) -> Iterator[pb.ProgressInfo]:
    return map(_part, view.progress_info)


def _part(info: ProgressInfo) -> pb.ProgressInfo:
    return pb.ProgressInfo(
        id=info.id,
        succeed_tasks=info.succeed_tasks,
        failed_tasks=info.failed_tasks,
        running_tasks=info.running_tasks,
        total_tasks=info.total_tasks,
    )


def _metrics(view: ProgressView, machine: yarn.Machine) -> pb.YarnMetrics | None:
    if view.resources is None:
        return None
    return yarn.metrics(view.job, view.resources, machine)


def log(page: LogPage) -> pb.LogResponse:
    """Lines of a log."""
    return pb.LogResponse(
        exec_id=page.job.exec_id,
        task_id=page.job.task_id,
        from_line=page.next_line,
        log=page.log,
    )


def kill_jobs(outcomes: Iterable[KillOutcome]) -> pb.KillJobsResponse:
    """One answer for each job, in order."""
    return pb.KillJobsResponse(messages=map(_kill_result, outcomes))


def _kill_result(outcome: KillOutcome) -> pb.KillJobResult:
    return pb.KillJobResult(
        id=outcome.id,
        exec_id=outcome.job.exec_id if outcome.job else "",
        task_id=outcome.job.task_id if outcome.job else 0,
        status=errors.status_of(outcome.error) if outcome.error else status_pb2.Status(),
    )


def job(job: Job) -> pb.Job:
    """Everything about a job."""
    message = _job_in_list(job)
    message.code = job.spec.code
    message.params.CopyFrom(job_params(job.spec.params))
    return message


def jobs(page: JobPage) -> pb.ListJobsResponse:
    """A page of jobs, without code and parameters."""
    return pb.ListJobsResponse(
        jobs=map(_job_in_list, page.jobs), next_page_token=page.next_page_token
    )


def _job_in_list(job: Job) -> pb.Job:
    spec = job.spec
    return pb.Job(
        exec_id=job.exec_id,
        task_id=job.task_id,
        status=enums.STATUS_TO_PROTO[job.status],
        paused=job.paused,
        submit_user=spec.submit_user,
        execute_user=spec.execute_user,
        creator=spec.creator,
        engine_type=spec.engine_type,
        run_type=spec.run_type,
        labels=spec.labels,
        source=spec.source,
        priority=spec.priority,
        progress=1.0 if job.status.is_final else job.progress,
        instance=job.instance,
        session_id=job.session_id or "",
        create_time=timestamp(job.create_time),
        start_time=timestamp(job.start_time),
        end_time=timestamp(job.end_time),
        error=_job_error(job.error),
        result_count=job.result_count,
        attempt=job.attempt,
        removed_time=timestamp(job.removed_time),
    )


def job_params(params: JobParams) -> pb.JobParams:
    """Variables and settings."""
    return pb.JobParams(
        variable=params.variable,
        configuration=pb.JobConfiguration(
            startup=params.startup, runtime=params.runtime, special=params.special
        ),
    )


def _job_error(error: JobError | None) -> pb.JobError | None:
    return pb.JobError(code=error.code, message=error.message) if error else None


def timestamp(time: datetime | None) -> timestamp_pb2.Timestamp | None:
    """A time as a message; None leaves the field unset."""
    if time is None:
        return None
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(time)
    return message


def result_sets(page: ResultSetPage) -> pb.ListResultsResponse:
    """A page of a job's result sets."""
    return pb.ListResultsResponse(
        result_sets=map(result_set, page.result_sets), next_page_token=page.next_page_token
    )


def result_set(result: ResultSet) -> pb.ResultSet:
    """One result of a job. A table is sent as Arrow, whatever it is stored as."""
    return pb.ResultSet(
        index=result.index,
        type=enums.RESULT_TYPE_TO_PROTO[result.type],
        media_type=ARROW_STREAM if result.type is ResultType.TABLE else result.media_type,
        row_count=result.row_count,
        size_bytes=result.size_bytes,
        columns=map(_column, result.columns),
        statement=result.statement,
    )


def _column(column: Column) -> pb.Column:
    return pb.Column(name=column.name, data_type=column.data_type, comment=column.comment)


def result_page(page: ResultPage) -> pb.ReadResultResponse:
    """A page of one result set."""
    return pb.ReadResultResponse(
        result_set=result_set(page.result_set),
        rows=map(_row, page.rows),
        content=page.content,
        next_page_token=page.next_page_token,
    )


def _row(values: Sequence[str | None]) -> pb.Row:
    return pb.Row(cells=[pb.Cell(text=value) for value in values])


def result_data(
    result: ResultSet | None, data: bytes, *, limit: int = DATA_BYTES
) -> Iterator[pb.StreamResultResponse]:
    """The messages of one piece of a streamed result set; `result` goes with the first one."""
    described = result_set(result) if result else None
    yield pb.StreamResultResponse(result_set=described, data=data[:limit])
    for start in range(limit, len(data), limit):
        yield pb.StreamResultResponse(data=data[start : start + limit])


def engines(views: Iterable[EngineView]) -> pb.ListEnginesResponse:
    """The engines of this installation."""
    return pb.ListEnginesResponse(engines=map(_engine, views))


def _engine(view: EngineView) -> pb.Engine:
    return pb.Engine(
        engine_type=view.engine_type,
        version=view.version,
        run_types=view.run_types,
        description=view.description,
        parameters=[
            pb.EngineParameter(
                name=each.name, scope=each.scope, type=each.type, description=each.description
            )
            for each in view.parameters
        ],
    )
