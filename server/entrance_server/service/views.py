"""What the service takes and answers, beside the domain's own types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from entrance_server.domain.errors import EntranceError
from entrance_server.domain.job import Job, JobParams, ProgressInfo, Resources, ResultSet
from entrance_server.domain.notes import Note
from entrance_server.domain.users import Token, User
from entrance_server.engines.parameters import EngineParameter
from entrance_server.logs.levels import LogChunk


@dataclass(frozen=True, slots=True)
class SubmitCommand:
    """An execute or submit call as it came, not yet validated; no `execute_user` is the caller."""

    code: str
    run_type: str
    params: JobParams = field(default_factory=JobParams)
    labels: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    priority: int = 0
    execute_user: str = ""
    peer: str = ""  # the caller's address, kept as source.requestIP


@dataclass(frozen=True, slots=True)
class PreviewView:
    """What would run, and the lines that the job's log would have."""

    code: str
    statements: Sequence[str]
    notes: Sequence[Note]


@dataclass(frozen=True, slots=True)
class ProgressView:
    """How far a job is and what it uses at one moment."""

    job: Job
    progress: float
    progress_info: Sequence[ProgressInfo] = ()
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines for the Log operation; `log` is four texts (ERROR, WARN, INFO, ALL) or one."""

    job: Job
    next_line: int
    log: Sequence[str]


@dataclass(frozen=True, slots=True)
class LogBatch:
    """The next part of a followed log; `final` is the ended job, in the last batch alone."""

    chunks: Sequence[LogChunk]
    next_line: int
    final: Job | None = None


@dataclass(frozen=True, slots=True)
class KillOutcome:
    """What became of one job of a KillJobs call; `error` None means killed."""

    id: str
    job: Job | None
    error: EntranceError | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs; the token is empty on the last page."""

    jobs: Sequence[Job]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class ResultSetPage:
    """A page of a job's result sets; the token is empty on the last page."""

    result_sets: Sequence[ResultSet]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A page of one result set: rows as text (None for NULL), or a piece of bytes."""

    result_set: ResultSet
    rows: Sequence[Sequence[str | None]]
    content: bytes
    next_page_token: str


@dataclass(frozen=True, slots=True)
class EngineView:
    """An engine of this installation."""

    engine_type: str
    version: str
    run_types: Sequence[str]
    description: str
    parameters: Sequence[EngineParameter] = ()


@dataclass(frozen=True, slots=True)
class LoginView:
    """An opened session: the user as he was before, and the ticket, which is a secret."""

    before: User
    ticket: str
    session_idle: timedelta


@dataclass(frozen=True, slots=True)
class UserPage:
    """A page of users; the token is empty on the last page."""

    users: Sequence[User]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class TokenCommand:
    """A token to make, not yet validated."""

    user: str
    is_admin: bool = False
    for_users: Sequence[str] = ()
    hosts: Sequence[str] = ()
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class TokenPage:
    """A page of tokens; the page token is empty on the last page."""

    tokens: Sequence[Token]
    next_page_token: str
