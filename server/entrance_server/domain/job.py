"""A job, what was asked for, and what it left behind."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from entrance_server.domain import ids
from entrance_server.domain.notes import Note
from entrance_server.domain.status import JobStatus


@dataclass(frozen=True, slots=True)
class JobParams:
    """What the caller set for a run; values are text."""

    variable: Mapping[str, str] = field(default_factory=dict)
    startup: Mapping[str, str] = field(default_factory=dict)
    runtime: Mapping[str, str] = field(default_factory=dict)
    special: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A valid request: what to run, for whom, by what."""

    submit_user: str
    execute_user: str
    creator: str
    engine_type: str
    run_type: str
    code: str
    params: JobParams = field(default_factory=JobParams)
    labels: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    request_id: str | None = None
    prepared_code: str | None = None
    """What really runs, where preprocessing changed the code; it is no part of the request."""
    notes: tuple[Note, ...] = ()
    """What the log tells of the request before the job runs; no part of it either."""

    @property
    def runnable_code(self) -> str:
        """The code that the engine gets."""
        return self.code if self.prepared_code is None else self.prepared_code

    @property
    def group(self) -> GroupKey:
        """The group whose queue and limits the job shares."""
        return GroupKey(self.execute_user, self.creator, self.engine_type)


@dataclass(frozen=True, slots=True)
class GroupKey:
    """User, creator and engine type: the unit of queues, limits and sessions."""

    user: str
    creator: str
    engine_type: str

    def __str__(self) -> str:
        return f"{self.user}/{self.creator}/{self.engine_type}"


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """How many jobs of one group may run, and how many may wait."""

    running: int = 30
    waiting: int = 1_000


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job did not succeed: a documented number and a sentence."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job as stored. Times are aware and in UTC."""

    task_id: int
    spec: JobSpec
    instance: str
    status: JobStatus
    create_time: datetime
    update_time: datetime
    paused: bool = False
    progress: float = 0.0
    session_id: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    error: JobError | None = None
    result_count: int = 0
    attempt: int = 1
    progress_info: tuple[ProgressInfo, ...] = ()
    retry_time: datetime | None = None
    """When its next try is due, or was."""
    pause_time: datetime | None = None
    """Since when it is paused."""
    paused_for: timedelta = timedelta()
    """How long it was paused before, while it ran or, before that, while it waited."""
    schedule_time: datetime | None = None
    """When its turn came, for the last try."""
    session_reused: bool | None = None
    """Whether its session had run another job before; None before it has one."""
    removed_time: datetime | None = None
    """When the retention removed its log and results; None while they are kept."""
    owner: str = ""
    """The server that acts for it now; the one of `instance` unless another took it over."""

    @property
    def exec_id(self) -> str:
        """The job's documented name, which also names the instance that holds it."""
        spec = self.spec
        return ids.exec_id_of(self.instance, spec.creator, spec.execute_user, self.task_id)


@dataclass(frozen=True, slots=True)
class ProgressInfo:
    """One part of a run, counted in tasks."""

    id: str
    succeed_tasks: int
    failed_tasks: int
    running_tasks: int
    total_tasks: int


@dataclass(frozen=True, slots=True)
class Application:
    """A cluster application's share of a job's resources. Memory in bytes."""

    application_id: str
    queue_name: str
    memory_bytes: int
    cores: float
    instances: int


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job's processes use. Memory in bytes, cores as a mean over the last interval."""

    memory_bytes: int
    cores: float
    processes: int
    applications: tuple[Application, ...] = ()


class ResultType(enum.StrEnum):
    """What a result set holds."""

    TABLE = "table"
    TEXT = "text"
    PICTURE = "picture"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `data_type` is a lower-case SQL name."""

    name: str
    data_type: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ResultSet:
    """One result of a job. `file_name` is relative to the job's result directory."""

    index: int
    type: ResultType
    media_type: str
    file_name: str
    row_count: int = 0
    size_bytes: int = 0
    columns: tuple[Column, ...] = ()
    statement: int = 0


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A runner that a later server can attach to again. `address` is a gRPC target.

    `pid` with `process_start` (seconds since the epoch, as the kernel tells it) names the process
    even when the pid was given to another one since. `options` are the settings it was opened with,
    and `only_for` is the number of the one job that may use it, when there is one alone. `owner` is
    the server that uses it, `host` the machine that it is on, `directory` where its files are
    there, "" where every server knows that.
    """

    session_id: str
    group: GroupKey
    address: str
    pid: int
    process_start: float
    create_time: datetime
    options: Mapping[str, str] = field(default_factory=dict)
    only_for: int | None = None
    owner: str = ""
    host: str = ""
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a call. `delegated` when another user's token lets the caller act as `user`."""

    user: str
    is_admin: bool
    delegated: bool = False
