"""What the client answers as objects for programs, under the names of the REST contract."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from entrance.cli import times
from entrance.client import (
    Engine,
    GroupLoad,
    Job,
    JobCounts,
    JobError,
    JobParams,
    LogLine,
    Progress,
    Resources,
    ResultSet,
    Token,
    User,
)


def ids(exec_id: str, task_id: int) -> dict[str, Any]:
    """The two names of a job."""
    return {"execID": exec_id, "taskID": task_id}


def job(value: Job) -> dict[str, Any]:
    """A job."""
    return {
        **ids(value.exec_id, value.task_id),
        "status": value.status,
        "paused": value.paused,
        "submitUser": value.submit_user,
        "executeUser": value.execute_user,
        "creator": value.creator,
        "engineType": value.engine_type,
        "runType": value.run_type,
        "code": value.code,
        "labels": dict(value.labels),
        "params": value.params and _params(value.params),
        "source": dict(value.source),
        "priority": value.priority,
        "progress": value.progress,
        "instance": value.instance,
        "sessionID": value.session_id,
        "createTime": times.iso(value.create_time),
        "startTime": times.iso(value.start_time),
        "endTime": times.iso(value.end_time),
        "error": _error(value.error),
        "resultCount": value.result_count,
        "attempt": value.attempt,
        "removedTime": times.iso(value.removed_time),
    }


def _error(value: JobError | None) -> dict[str, Any] | None:
    return None if value is None else {"code": value.code, "message": value.message}


def _params(value: JobParams) -> dict[str, Any]:
    configuration = {
        "startup": dict(value.startup),
        "runtime": dict(value.runtime),
        "special": dict(value.special),
    }
    return {"variable": dict(value.variable), "configuration": configuration}


def ending(value: Job) -> dict[str, Any]:
    """How a job ended."""
    return {
        **ids(value.exec_id, value.task_id),
        "status": value.status,
        "error": _error(value.error),
        "resultCount": value.result_count,
    }


def line(value: LogLine) -> dict[str, Any]:
    """A log line."""
    return {"line": value.number, "level": value.level, "text": value.text}


def progress(value: Progress) -> dict[str, Any]:
    """A job's progress."""
    return {
        "progress": value.progress,
        "status": value.status,
        "paused": value.paused,
        "progressInfo": [
            {
                "id": stage.id,
                "succeedTasks": stage.succeed_tasks,
                "failedTasks": stage.failed_tasks,
                "runningTasks": stage.running_tasks,
                "totalTasks": stage.total_tasks,
            }
            for stage in value.stages
        ],
        "resources": value.resources and _resources(value.resources),
    }


def _resources(value: Resources) -> dict[str, Any]:
    return {
        "memoryBytes": value.memory_bytes,
        "cores": value.cores,
        "processes": value.processes,
        "memoryShare": value.memory_share,
        "coreShare": value.core_share,
    }


def result_set(value: ResultSet) -> dict[str, Any]:
    """A result set without its content."""
    return {
        "index": value.index,
        "type": value.type,
        "mediaType": value.media_type,
        "rowCount": value.row_count,
        "sizeBytes": value.size_bytes,
        "columns": [
            {"columnName": column.name, "dataType": column.data_type, "comment": column.comment}
            for column in value.columns
        ],
        "statement": value.statement,
    }


def engine(value: Engine) -> dict[str, Any]:
    """An engine."""
    return {
        "engineType": value.engine_type,
        "version": value.version,
        "runTypes": list(value.run_types),
        "description": value.description,
        "parameters": [asdict(parameter) for parameter in value.parameters],
    }


def load(online: bool, counts: JobCounts, groups: Iterable[GroupLoad]) -> dict[str, Any]:
    """What a server has to do."""
    return {
        "isOnline": online,
        "taskNumber": counts.total,
        "waitingNumber": counts.waiting,
        "runningNumber": counts.running,
        "consumerInfo": [
            {
                "user": group.user,
                "creator": group.creator,
                "engineType": group.engine_type,
                "running": group.running,
                "waiting": group.waiting,
                "maxRunning": group.max_running,
                "maxWaiting": group.max_waiting,
            }
            for group in groups
        ],
    }


def user(value: User) -> dict[str, Any]:
    """A user."""
    return {
        "name": value.name,
        "isAdmin": value.is_admin,
        "disabled": value.disabled,
        "createTime": times.iso(value.create_time),
        "lastLoginTime": times.iso(value.last_login_time),
    }


def token(value: Token) -> dict[str, Any]:
    """A token without its secret."""
    return {
        "tokenID": value.token_id,
        "user": value.user,
        "isAdmin": value.is_admin,
        "forUsers": list(value.for_users),
        "hosts": list(value.hosts),
        "createTime": times.iso(value.create_time),
        "expireTime": times.iso(value.expire_time),
    }
