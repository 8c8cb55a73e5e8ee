"""Between messages of the public API and the values of `models`."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from entrance.client import errors, failures, models
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import operation_pb2, users_pb2

E = TypeVar("E", bound=StrEnum)

STATUS_NUMBER = {s: pb.JobStatus.Value(f"JOB_STATUS_{s.name}") for s in models.JobStatus}
LEVEL_NUMBER = {level: pb.LogLevel.Value(f"LOG_LEVEL_{level.name}") for level in models.LogLevel}
_STATUSES = {int(number): status for status, number in STATUS_NUMBER.items()}
_LEVELS = {int(number): level for level, number in LEVEL_NUMBER.items()}
_RESULT_TYPES = {int(pb.ResultType.Value(f"RESULT_TYPE_{t.name}")): t for t in models.ResultType}


def _known(table: dict[int, E], number: int, what: str) -> E:
    if number not in table:
        raise errors.EntranceError(
            f"the service sent a {what} ({number}) that this client does not know; "
            "a newer version of entrance is needed"
        )
    return table[number]


def status(number: int) -> models.JobStatus:
    """The status that a number on the wire means."""
    return _known(_STATUSES, number, "job status")


def level(number: int) -> models.LogLevel:
    """The level that a number on the wire means."""
    return _known(_LEVELS, number, "log level")


def time(message: Timestamp) -> datetime:
    """An aware time in UTC."""
    return message.ToDatetime(tzinfo=UTC)


def timestamp(moment: datetime | None) -> Timestamp | None:
    """The message for a time; one without a zone is taken as local time."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC))
    return message


def job(message: pb.Job) -> models.Job:
    """A job."""
    return models.Job(
        exec_id=message.exec_id,
        task_id=message.task_id,
        status=status(message.status),
        paused=message.paused,
        submit_user=message.submit_user,
        execute_user=message.execute_user,
        creator=message.creator,
        engine_type=message.engine_type,
        run_type=message.run_type,
        code=message.code,
        labels=dict(message.labels),
        params=params(message.params) if message.HasField("params") else None,
        source=dict(message.source),
        priority=message.priority,
        progress=message.progress,
        instance=message.instance,
        session_id=message.session_id,
        create_time=time(message.create_time) if message.HasField("create_time") else None,
        start_time=time(message.start_time) if message.HasField("start_time") else None,
        end_time=time(message.end_time) if message.HasField("end_time") else None,
        error=_job_error(message.error) if message.HasField("error") else None,
        result_count=message.result_count,
        attempt=message.attempt,
        removed_time=time(message.removed_time) if message.HasField("removed_time") else None,
    )


def _job_error(message: pb.JobError) -> models.JobError:
    return models.JobError(message.code, message.message)


def params(message: pb.JobParams) -> models.JobParams:
    """What the caller set for a run."""
    configuration = message.configuration
    return models.JobParams(
        variable=dict(message.variable),
        startup=dict(configuration.startup),
        runtime=dict(configuration.runtime),
        special=dict(configuration.special),
    )


def params_message(value: models.JobParams) -> pb.JobParams:
    """The message for what the caller set for a run."""
    return pb.JobParams(
        variable=value.variable,
        configuration=pb.JobConfiguration(
            startup=value.startup, runtime=value.runtime, special=value.special
        ),
    )


def progress(message: pb.StreamProgressResponse) -> models.Progress:
    """A job's progress at one moment."""
    measured = message.HasField("yarn_metrics")
    return models.Progress(
        progress=message.progress,
        status=status(message.status),
        paused=message.paused,
        stages=tuple(_stage(part) for part in message.progress_info),
        resources=_resources(message.yarn_metrics) if measured else None,
    )


def _stage(message: pb.ProgressInfo) -> models.Stage:
    return models.Stage(
        id=message.id,
        succeed_tasks=message.succeed_tasks,
        failed_tasks=message.failed_tasks,
        running_tasks=message.running_tasks,
        total_tasks=message.total_tasks,
    )


def _resources(message: pb.YarnMetrics) -> models.Resources:
    applications = message.yarn_resource
    return models.Resources(
        memory_bytes=sum(each.queue_memory for each in applications),
        cores=sum(each.queue_cores for each in applications),
        processes=sum(each.queue_instances for each in applications),
        memory_share=message.memory_percent,
        core_share=message.core_percent,
    )


def result_set(message: pb.ResultSet) -> models.ResultSet:
    """A result set."""
    return models.ResultSet(
        index=message.index,
        type=_known(_RESULT_TYPES, message.type, "result type"),
        media_type=message.media_type,
        row_count=message.row_count,
        size_bytes=message.size_bytes,
        columns=tuple(models.Column(c.name, c.data_type, c.comment) for c in message.columns),
        statement=message.statement,
    )


def row(message: pb.Row) -> models.Row:
    """A row's cells as text, None for NULL."""
    return tuple(cell.text if cell.HasField("text") else None for cell in message.cells)


def engine(message: pb.Engine) -> models.Engine:
    """An engine."""
    return models.Engine(
        engine_type=message.engine_type,
        version=message.version,
        run_types=tuple(message.run_types),
        description=message.description,
        parameters=tuple(
            models.EngineParameter(each.name, each.scope, each.type, each.description)
            for each in message.parameters
        ),
    )


def job_counts(message: operation_pb2.TaskInfoResponse) -> models.JobCounts:
    """How many jobs a server has."""
    return models.JobCounts(message.task_number, message.waiting_number, message.running_number)


def group_loads(message: operation_pb2.ConsumerInfoResponse) -> tuple[models.GroupLoad, ...]:
    """What groups have to do."""
    return tuple(
        models.GroupLoad(
            user=each.user,
            creator=each.creator,
            engine_type=each.engine_type,
            running=each.running,
            waiting=each.waiting,
            max_running=each.max_running,
            max_waiting=each.max_waiting,
        )
        for each in message.consumer_info
    )


def user(message: users_pb2.User) -> models.User:
    """A user."""
    seen = message.HasField("last_login_time")
    return models.User(
        name=message.name,
        is_admin=message.is_admin,
        disabled=message.disabled,
        create_time=time(message.create_time),
        last_login_time=time(message.last_login_time) if seen else None,
    )


def token(message: users_pb2.Token) -> models.Token:
    """A token."""
    return models.Token(
        token_id=message.token_id,
        user=message.user,
        is_admin=message.is_admin,
        for_users=tuple(message.for_users),
        hosts=tuple(message.hosts),
        create_time=time(message.create_time),
        expire_time=time(message.expire_time) if message.HasField("expire_time") else None,
    )


def new_token(message: users_pb2.CreateTokenResponse) -> models.NewToken:
    """A token with its secret."""
    return models.NewToken(token(message.token), message.secret)


def kill_outcome(message: pb.KillJobResult) -> models.KillOutcome:
    """What became of one job of several."""
    failed = message.status.code != code_pb2.OK
    return models.KillOutcome(
        id=message.id,
        exec_id=message.exec_id,
        task_id=message.task_id,
        error=failures.from_status(message.status) if failed else None,
    )


def chunk_lines(message: pb.LogChunk) -> list[models.LogLine]:
    """The lines of a chunk."""
    if not message.line_count:
        return []
    texts = message.text.removesuffix("\n").split("\n")
    of_level = level(message.level)
    return [
        models.LogLine(number, of_level, text)
        for number, text in enumerate(texts, message.from_line)
    ]


def log_page(message: pb.LogResponse, *, from_line: int) -> models.LogPage:
    """Lines out of an answer that is split by level.

    The order is that of ALL; a line's level is that of the text at whose head it stands, since one
    text always has one level. Blank lines stand in ALL alone and are INFO.
    """
    first = max(from_line, 1)
    if message.from_line <= first or len(message.log) != 4:
        return models.LogPage((), max(message.from_line, first))
    error, warn, info, everything = message.log
    by_level = {
        models.LogLevel.ERROR: deque(error.split("\n")),
        models.LogLevel.WARN: deque(warn.split("\n")),
        models.LogLevel.INFO: deque(info.split("\n")),
    }
    texts = everything.split("\n")[: message.from_line - first]
    lines = tuple(
        models.LogLine(number, _take_level(by_level, text), text)
        for number, text in enumerate(texts, first)
    )
    return models.LogPage(lines, message.from_line)


def _take_level(by_level: dict[models.LogLevel, deque[str]], text: str) -> models.LogLevel:
    if text.strip():
        for candidate, heads in by_level.items():
            if heads and heads[0] == text:
                heads.popleft()
                return candidate
    return models.LogLevel.INFO
