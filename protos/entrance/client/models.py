"""What the service answers, as plain values: jobs, lines, progress, result sets, engines."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from entrance.client.errors import EntranceError


class JobStatus(enum.StrEnum):
    """Where a job is in its life; the values are the documented names. The last four are final."""

    INITED = "Inited"
    WAIT_FOR_RETRY = "WaitForRetry"
    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    SUCCEED = "Succeed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TIMEOUT = "Timeout"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended; such a status never changes."""
        return self in _FINAL


_FINAL = frozenset({JobStatus.SUCCEED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT})


class LogLevel(enum.StrEnum):
    """How serious a log line is. A line without a header is INFO."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class ResultType(enum.StrEnum):
    """What a result set holds."""

    TABLE = "table"
    TEXT = "text"
    PICTURE = "picture"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class JobParams:
    """What the caller set for a run: variables of the code, and settings by when they act."""

    variable: Mapping[str, str] = field(default_factory=dict)
    startup: Mapping[str, str] = field(default_factory=dict)
    runtime: Mapping[str, str] = field(default_factory=dict)
    special: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job did not succeed: a documented number and a sentence."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job at one moment. Times are aware and in UTC, and None before what they tell of.

    `code` is empty and `params` None in lists; `error` is None unless the job ended badly.
    """

    exec_id: str
    task_id: int
    status: JobStatus
    paused: bool
    submit_user: str
    execute_user: str
    creator: str
    engine_type: str
    run_type: str
    code: str
    labels: Mapping[str, str]
    params: JobParams | None
    source: Mapping[str, str]
    priority: int
    progress: float
    instance: str
    session_id: str
    create_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    error: JobError | None
    result_count: int
    attempt: int
    removed_time: datetime | None = None
    """When its log and results were removed; None while they are there."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a job's log, without its newline. Its number, from 1, is its own for ever."""

    number: int
    level: LogLevel
    text: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Successive lines of a log; `next_line` is the `from_line` of the page after them."""

    lines: tuple[LogLine, ...]
    next_line: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a run, counted in tasks."""

    id: str
    succeed_tasks: int
    failed_tasks: int
    running_tasks: int
    total_tasks: int


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job's processes use; the shares are parts, from 0 to 1, of what there is."""

    memory_bytes: int
    cores: float
    processes: int
    memory_share: float
    core_share: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, from 0 to 1. `resources` is None while nothing has been measured."""

    progress: float
    status: JobStatus
    paused: bool
    stages: tuple[Stage, ...]
    resources: Resources | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `data_type` is a lower-case SQL name."""

    name: str
    data_type: str
    comment: str


Row = tuple[str | None, ...]
"""A row of a table as text: booleans `true` and `false`, times ISO 8601, nested values JSON.

None is NULL.
"""


@dataclass(frozen=True, slots=True)
class ResultSet:
    """What one result of a job is, without its content. Rows and columns are a table's."""

    index: int
    type: ResultType
    media_type: str
    row_count: int
    size_bytes: int
    columns: tuple[Column, ...]
    statement: int


@dataclass(frozen=True, slots=True)
class EngineParameter:
    """A setting that an engine takes; `scope` is `startup` or `runtime`."""

    name: str
    scope: str
    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine of the installation; its first run type is the one it is used with by default."""

    engine_type: str
    version: str
    run_types: tuple[str, ...]
    description: str
    parameters: tuple[EngineParameter, ...] = ()


@dataclass(frozen=True, slots=True)
class JobCounts:
    """How many jobs a server has that have not ended: all, those that wait, those that run."""

    total: int
    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class GroupLoad:
    """How many jobs of a group run and wait, and how many may."""

    user: str
    creator: str
    engine_type: str
    running: int
    waiting: int
    max_running: int
    max_waiting: int


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in."""

    name: str
    is_admin: bool
    disabled: bool
    create_time: datetime
    last_login_time: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    """A credential without its secret; see `TokenOptions` for what it allows."""

    token_id: str
    user: str
    is_admin: bool
    for_users: tuple[str, ...]
    hosts: tuple[str, ...]
    create_time: datetime
    expire_time: datetime | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was made just now, with its secret, which is not told again."""

    token: Token
    secret: str


@dataclass(frozen=True, slots=True)
class KillOutcome:
    """What became of one job of a `kill_jobs` call; `error` is None when it was killed.

    `exec_id` is empty and `task_id` 0 when the id names no job.
    """

    id: str
    exec_id: str
    task_id: int
    error: EntranceError | None
