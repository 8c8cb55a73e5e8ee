"""Jobs as the documented history shows them, and which ones a caller asks it for."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from entrance.v1 import history_pb2 as pb
from entrance_server.domain.job import Job, JobParams
from entrance_server.domain.paths import LogPath, ResultsPath
from entrance_server.domain.status import ACTIVE, FINAL, JobStatus
from entrance_server.rpc.requests import refusal
from entrance_server.service.history import Task, TaskPage, TaskQuery
from entrance_server.store.port import JobFilter

SOURCE_LENGTH: Final = 50  # characters of a script's path that are shown in a list

_ALL: Final = ACTIVE | FINAL
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DAY: Final = timedelta(days=1)
_METRIC_TIME: Final = "%Y-%m-%dT%H:%M:%S%z"


def query(request: pb.ListTasksRequest) -> TaskQuery:
    """Which jobs ListTasks asks for.

    Raises:
        InvalidRequest: a time or a state is none that exists.
    """
    start, end = _times(request.start_date, request.end_date)
    where = JobFilter(
        statuses=_statuses(request.status, _ALL),
        creator=request.creator or None,
        engine_type=request.execute_application_name or None,
        create_time_from=start,
        create_time_to=end,
        task_id=request.task_id or None,
        instance=request.instance or None,
        session_id=request.engine_instance or None,
        run_type=request.run_type or None,
    )
    return TaskQuery(
        where, request.page_now, request.page_size, request.proxy_user, request.is_admin_view
    )


def undone_query(request: pb.ListUndoneTasksRequest) -> TaskQuery:
    """Which jobs ListUndoneTasks asks for.

    Raises:
        InvalidRequest: a time is none that exists, or a state none of a job that goes on.
    """
    start, end = _times(request.start_date, request.end_date)
    where = JobFilter(
        statuses=_statuses(request.status, ACTIVE) or ACTIVE,
        creator=request.creator or None,
        engine_type=request.engine_type or None,
        create_time_from=start,
        create_time_to=end,
        task_id_from=request.start_task_id or None,
    )
    return TaskQuery(where, request.page_now, request.page_size)


def _times(start_date: int, end_date: int) -> tuple[datetime | None, datetime | None]:
    """The first moment, and the one after the last."""
    start = _time(start_date, "startDate") if start_date else None
    if not end_date:
        return start, None
    length = _DAY if start_date == end_date else _MILLISECOND
    return start, _time(end_date, "endDate", length)


def _time(milliseconds: int, field: str, later: timedelta = timedelta()) -> datetime:
    try:
        return _EPOCH + milliseconds * _MILLISECOND + later
    except OverflowError:
        raise refusal(
            field, "must be milliseconds since 1970, between the years 1 and 9999"
        ) from None


def _statuses(names: str, known: Collection[JobStatus]) -> frozenset[JobStatus]:
    by_name = {status.lower(): status for status in known}
    wanted = {name.strip().lower() for name in names.split(",")} - {""}
    if unknown := sorted(wanted - by_name.keys()):
        offered = ", ".join(sorted(known))
        raise refusal("status", f"'{unknown[0][:40]}' is none of {offered}")
    return frozenset(by_name[name] for name in wanted)


def page(tasks: TaskPage) -> pb.ListTasksResponse:
    """A page of any jobs."""
    return pb.ListTasksResponse(tasks=map(_in_list, tasks.tasks), total_page=tasks.total)


def undone_page(tasks: TaskPage) -> pb.ListUndoneTasksResponse:
    """A page of jobs that go on."""
    return pb.ListUndoneTasksResponse(tasks=map(_in_list, tasks.tasks), total_page=tasks.total)


def task(task: Task) -> pb.Task:
    """Everything about a job."""
    message = _in_list(task)
    message.execution_code = task.job.spec.code
    message.params_json = _json(_params(task.job.spec.params))
    return message


def _in_list(task: Task) -> pb.Task:
    job, spec = task.job, task.job.spec
    # the error of a try that is followed by another one is none of the job
    error = job.error if job.status.is_final else None
    waited = _waited(job)
    return pb.Task(
        task_id=job.task_id,
        instance=job.instance,
        exec_id=job.exec_id,
        stronger_exec_id=job.exec_id,
        um_user=spec.submit_user,
        execute_user=spec.execute_user,
        engine_instance=job.session_id,
        progress=1.0 if job.status.is_final else job.progress,
        log_path=str(LogPath(job.task_id)),
        result_location=str(ResultsPath(job.task_id)),
        status=job.status,
        created_time=_milliseconds(job.create_time),
        updated_time=_milliseconds(job.update_time),
        engine_type=spec.engine_type,
        engine_start_time=_if_known(job.start_time),
        err_code=error.code if error else None,
        err_desc=error.message if error else None,
        execute_application_name=spec.engine_type,
        request_application_name=spec.creator,
        run_type=spec.run_type,
        source_json=_json(spec.source),
        source_tailor=_shortened(spec.source.get("scriptPath", "")),
        cost_time=task.cost // _MILLISECOND,
        labels=[f"{name}:{value}" for name, value in spec.labels.items()],
        can_retry=job.status in (JobStatus.FAILED, JobStatus.TIMEOUT) and job.start_time is None,
        is_reuse=job.session_reused,
        request_start_time=_milliseconds(job.create_time),
        request_end_time=_if_known(job.schedule_time),
        request_spend_time=None if waited is None else waited // _MILLISECOND,
        metrics=_json(_metrics(job)) if job.status.is_final else None,
    )


def _waited(job: Job) -> timedelta | None:
    return None if job.schedule_time is None else job.schedule_time - job.create_time


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MILLISECOND


def _if_known(time: datetime | None) -> int | None:
    return None if time is None else _milliseconds(time)


def _metrics(job: Job) -> Mapping[str, object]:
    times = {
        "submitTime": job.create_time,
        "scheduleTime": job.schedule_time,
        "runningTime": job.start_time,
        "completeTime": job.end_time,
    }
    known = {name: f"{time:{_METRIC_TIME}}" for name, time in times.items() if time}
    return {**known, "attempts": job.attempt, "resultSets": job.result_count}


def _params(params: JobParams) -> Mapping[str, object]:
    configuration = {
        "startup": dict(params.startup),
        "runtime": dict(params.runtime),
        "special": dict(params.special),
    }
    return {"variable": dict(params.variable), "configuration": configuration}


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, separators=(",", ":"))


def _shortened(path: str) -> str:
    return path if len(path) <= SOURCE_LENGTH else "…" + path[1 - SOURCE_LENGTH :]
