"""Rows of the store to values of the domain, and back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from entrance_server.domain.instances import Instance, Owner
from entrance_server.domain.job import (
    Column,
    GroupKey,
    Job,
    JobError,
    JobParams,
    JobSpec,
    ProgressInfo,
    ResultSet,
    ResultType,
    SessionRecord,
)
from entrance_server.domain.notes import Note
from entrance_server.domain.users import LoginSession, Token, User
from entrance_server.store.port import Archive, ArchivedFile

_SET_BY_SERVICE = frozenset({"requestIP"})  # keys of `source` that are not the caller's own


def job_from(row: Row[Any]) -> Job:
    """The job in a row of `jobs`."""
    spec = JobSpec(
        submit_user=row.submit_user,
        execute_user=row.execute_user,
        creator=row.creator,
        engine_type=row.engine_type,
        run_type=row.run_type,
        code=row.code,
        params=JobParams(**row.params),
        labels=row.labels,
        source=row.source,
        priority=row.priority,
        request_id=row.request_id,
        prepared_code=row.prepared_code,
        notes=tuple(Note(*note) for note in row.notes or ()),
    )
    return Job(
        task_id=row.task_id,
        spec=spec,
        instance=row.instance,
        status=row.status,
        create_time=row.create_time,
        update_time=row.update_time,
        paused=row.paused,
        progress=row.progress,
        session_id=row.session_id,
        start_time=row.start_time,
        end_time=row.end_time,
        error=None if row.error_code is None else JobError(row.error_code, row.error_message),
        result_count=row.result_count,
        attempt=row.attempt,
        progress_info=tuple(ProgressInfo(*part) for part in row.progress_info),
        retry_time=row.retry_time,
        pause_time=row.pause_time,
        paused_for=row.paused_for,
        schedule_time=row.schedule_time,
        session_reused=row.session_reused,
        removed_time=row.removed_time,
        owner=row.owner,
    )


def new_job_values(job: Job) -> dict[str, Any]:
    """The row of `jobs` for a new job, whose number the database gives."""
    return _spec_values(job.spec) | {
        "instance": job.instance,
        "status": job.status,
        "paused": job.paused,
        "progress": job.progress,
        "create_time": job.create_time,
        "update_time": job.update_time,
        "result_count": job.result_count,
        "attempt": job.attempt,
        "progress_info": progress_values(job.progress_info),
        "paused_for": job.paused_for,
        "has_files": True,
        "owner": job.owner,
    }


def _spec_values(spec: JobSpec) -> dict[str, Any]:
    return {
        "submit_user": spec.submit_user,
        "execute_user": spec.execute_user,
        "creator": spec.creator,
        "engine_type": spec.engine_type,
        "run_type": spec.run_type,
        "code": spec.code,
        "prepared_code": spec.prepared_code,
        "notes": [[note.level, note.text] for note in spec.notes] or None,
        "params": _params(spec.params),
        "labels": dict(spec.labels),
        "source": dict(spec.source),
        "priority": spec.priority,
        "request_id": spec.request_id,
        "request_digest": None if spec.request_id is None else spec_digest(spec),
    }


def progress_values(parts: Iterable[ProgressInfo]) -> list[list[Any]]:
    """The column of `jobs` that holds the parts of a run."""
    return [[p.id, p.succeed_tasks, p.failed_tasks, p.running_tasks, p.total_tasks] for p in parts]


def spec_digest(spec: JobSpec) -> bytes:
    """Equal for two specs of one request, whatever the service itself put in."""
    source = {key: value for key, value in spec.source.items() if key not in _SET_BY_SERVICE}
    asked = [
        spec.submit_user,
        spec.execute_user,
        spec.creator,
        spec.engine_type,
        spec.run_type,
        spec.code,
        _params(spec.params),
        dict(spec.labels),
        source,
        spec.priority,
    ]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def _params(params: JobParams) -> dict[str, dict[str, str]]:
    parts: Mapping[str, Mapping[str, str]] = {
        "variable": params.variable,
        "startup": params.startup,
        "runtime": params.runtime,
        "special": params.special,
    }
    return {name: dict(values) for name, values in parts.items()}


def result_from(row: Row[Any]) -> ResultSet:
    """The result set in a row of `results`."""
    return ResultSet(
        index=row.result_index,
        type=ResultType(row.type),
        media_type=row.media_type,
        file_name=row.file_name,
        row_count=row.row_count,
        size_bytes=row.size_bytes,
        columns=tuple(Column(*column) for column in row.columns),
        statement=row.statement,
    )


def result_values(task_id: int, result: ResultSet) -> dict[str, Any]:
    """The row of `results` for a result set."""
    return {
        "task_id": task_id,
        "result_index": result.index,
        "type": result.type.value,
        "media_type": result.media_type,
        "file_name": result.file_name,
        "row_count": result.row_count,
        "size_bytes": result.size_bytes,
        "columns": [[c.name, c.data_type, c.comment] for c in result.columns],
        "statement": result.statement,
    }


def session_from(row: Row[Any]) -> SessionRecord:
    """The session in a row of `sessions`."""
    return SessionRecord(
        session_id=row.session_id,
        group=GroupKey(row.user, row.creator, row.engine_type),
        address=row.address,
        pid=row.pid,
        process_start=row.process_start,
        create_time=row.create_time,
        options=row.options,
        only_for=row.only_for,
        owner=row.owner,
        host=row.host,
        directory=row.directory,
    )


def session_values(record: SessionRecord) -> dict[str, Any]:
    """The row of `sessions` for a session."""
    return {
        "session_id": record.session_id,
        "user": record.group.user,
        "creator": record.group.creator,
        "engine_type": record.group.engine_type,
        "address": record.address,
        "pid": record.pid,
        "process_start": record.process_start,
        "create_time": record.create_time,
        "options": dict(record.options),
        "only_for": record.only_for,
        "owner": record.owner,
        "host": record.host,
        "directory": record.directory,
    }


def token_from(row: Row[Any]) -> Token:
    """The token in a row of `tokens`."""
    return Token(
        token_id=row.token_id,
        user=row.user,
        is_admin=row.is_admin,
        secret_hash=row.secret_hash,
        create_time=row.create_time,
        for_users=tuple(row.for_users),
        hosts=tuple(row.hosts),
        expire_time=row.expire_time,
    )


def token_values(token: Token) -> dict[str, Any]:
    """The row of `tokens` for a token."""
    return {
        "token_id": token.token_id,
        "user": token.user,
        "is_admin": token.is_admin,
        "secret_hash": token.secret_hash,
        "create_time": token.create_time,
        "for_users": token.for_users,
        "hosts": token.hosts,
        "expire_time": token.expire_time,
    }


def user_from(row: Row[Any]) -> User:
    """The user in a row of `users`."""
    return User(
        name=row.name,
        password_hash=row.password_hash,
        is_admin=row.is_admin,
        create_time=row.create_time,
        disabled=row.disabled,
        login_count=row.login_count,
        last_login_time=row.last_login_time,
    )


def user_values(user: User) -> dict[str, Any]:
    """The row of `users` for a user."""
    return dataclasses.asdict(user)


def login_session_from(row: Row[Any]) -> LoginSession:
    """The session in a row of `login_sessions`."""
    return LoginSession(row.ticket_hash, row.user, row.create_time, row.last_used_time)


def login_session_values(session: LoginSession) -> dict[str, Any]:
    """The row of `login_sessions` for a session."""
    return dataclasses.asdict(session)


def instance_from(row: Row[Any]) -> Instance:
    """The server in a row of `instances` with `is_alive`."""
    return Instance(
        name=row.name,
        address=row.address,
        home=row.home,
        fence=row.fence,
        is_alive=bool(row.is_alive),
        lease_expire_time=row.lease_expire_time,
    )


def owner_from(row: Row[Any]) -> Owner:
    """The owner in a row of `statements.FIND_OWNERS`."""
    return Owner(
        name=row.owner,
        address=row.address or "",
        fence=row.fence,
        is_alive=bool(row.is_alive),
        end_time=row.end_time,
    )


def archive_from(row: Row[Any]) -> Archive:
    """What a row of `archives` tells."""
    if row.files is None:
        return Archive(row.key, None)
    return Archive(
        row.key,
        [ArchivedFile(name, size, datetime.fromisoformat(time)) for name, size, time in row.files],
    )


def archived_file_row(file: ArchivedFile) -> list[object]:
    """How a row of `archives` tells of a file."""
    return [file.name, file.size, file.modify_time.isoformat()]
