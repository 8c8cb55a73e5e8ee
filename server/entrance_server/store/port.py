"""What the service asks of a store. An answer means that the change is durable."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from entrance_server.domain.instances import Instance, Lease, Owner
from entrance_server.domain.job import (
    GroupLimits,
    Job,
    JobError,
    JobSpec,
    ProgressInfo,
    ResultSet,
    SessionRecord,
)
from entrance_server.domain.status import JobStatus
from entrance_server.domain.users import LoginSession, Token, User


class StoreUnavailable(Exception):
    """The store can't be reached, is locked or full; nothing was changed."""


class SchemaTooNew(Exception):
    """A newer release has written the database; this one would not understand it."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The database has schema revision {revision}, which this release does not know; "
            "start the release that wrote it, or a newer one."
        )
        self.revision = revision


class TransitionRefused(Exception):
    """The job was not in an expected state; `job` is how it is."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.task_id} is {job.status}")
        self.job = job


class GroupFull(Exception):
    """As many jobs of the group run, or wait, on all servers together as may."""


class NameTaken(Exception):
    """Another server holds the lease of that name; `holder` is that one."""

    def __init__(self, holder: Instance) -> None:
        super().__init__(f"the instance name {holder.name} is that of the server {holder.address}")
        self.holder = holder


class LeaseLost(Exception):
    """The lease has ended and may be another's; nothing was changed, and nothing may be done."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(f"{lease.instance} has lost its lease with the fence {lease.fence}")
        self.lease = lease


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a server took over: the unfinished jobs and the sessions of one that is gone."""

    instance: str
    jobs: Sequence[Job]
    sessions: Sequence[SessionRecord]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; what is set must all hold."""

    statuses: frozenset[JobStatus] = frozenset()
    execute_user: str | None = None
    creator: str | None = None
    engine_type: str | None = None
    create_time_from: datetime | None = None
    create_time_to: datetime | None = None
    task_id: int | None = None
    task_id_from: int | None = None
    instance: str | None = None
    session_id: str | None = None
    run_type: str | None = None


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """An ended job and the bytes of its log and results, 0 where they were not measured."""

    task_id: int
    size: int


class Heirs(Protocol):
    """Who looks after what a server left that is gone.

    The method raises StoreUnavailable when the store does not answer.
    """

    async def left_to(self, instance: str, *, gone_for: timedelta) -> Sequence[str]:
        """The instances that left jobs and have no lease for so long, where this one is the heir.

        That is the first by name of those that have leases.
        """


class Ledger(Heirs, Protocol):
    """Which ended jobs of an instance have files. No call changes a job that has not ended.

    Files are measured once, after the job's end. They are removed in two steps, so that a server
    which ends between them finds what is left to do: `mark_removed`, after which nobody sees them,
    and `forget_files` when they are gone.

    Every method raises StoreUnavailable when the store does not answer.
    """

    async def stored_bytes(self, instance: str) -> int:
        """What the files take in all, as far as they were measured."""

    async def unmeasured_jobs(self, instance: str, *, limit: int) -> Sequence[int]:
        """Jobs whose files were not measured yet."""

    async def set_stored_bytes(self, sizes: Mapping[int, int]) -> None:
        """Keeps what the files of jobs take."""

    async def oldest_files(
        self, instance: str, *, ended_before: datetime, limit: int
    ) -> Sequence[StoredFiles]:
        """Jobs with files that are not marked, from the one that ended longest ago on."""

    async def mark_removed(self, task_ids: Collection[int]) -> None:
        """Sets `removed_time` and forgets the result sets."""

    async def removals(self, instance: str, *, limit: int) -> Sequence[int]:
        """Jobs that were marked and still have files."""

    async def forget_files(self, task_ids: Collection[int]) -> None:
        """Keeps that files are gone."""

    async def remove_jobs(self, instance: str, *, ended_before: datetime, limit: int) -> int:
        """Forgets jobs that ended before a time and have no files; how many."""

    async def known_jobs(self, first: int, last: int) -> frozenset[int]:
        """Which numbers from one to another are those of jobs, of whatever instance and state."""

    async def last_job(self) -> int:
        """The greatest number of a job; 0 when there is none."""


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file of an ended job; its name is its path below the job's directory, with `/`."""

    name: str
    size: int
    modify_time: datetime


@dataclass(frozen=True, slots=True)
class Archive:
    """Where in object storage the files of a job are: all below `key`.

    `files` is None until all of them are there; some may be.
    """

    key: str
    files: Sequence[ArchivedFile] | None


class ArchiveLedger(Heirs, Protocol):
    """Which ended jobs of an instance have their files in object storage.

    They get there in two steps, so that a server which ends between them leaves nothing unknown
    there: `begin_archive`, and `finish_archive` when all objects are there. `Ledger.forget_files`
    forgets them.

    Every method raises StoreUnavailable when the store does not answer.
    """

    async def unarchived_files(
        self, instance: str, *, ended_before: datetime, limit: int
    ) -> Sequence[StoredFiles]:
        """Measured files that are not all in object storage, by the time of the jobs' ends."""

    async def begin_archive(self, task_id: int, key: str) -> str | None:
        """Keeps below which key the objects of a job will be, and gives it.

        One that was kept before stays. None, and nothing kept, where the files were removed.
        """

    async def finish_archive(self, task_id: int, files: Sequence[ArchivedFile]) -> None:
        """Keeps which objects there are, unless the files were removed meanwhile."""

    async def archive_of(self, task_id: int) -> Archive | None:
        """What there is, or may be, of a job in object storage; None for nothing."""

    async def local_copies(
        self, instance: str, *, ended_before: datetime, limit: int
    ) -> Sequence[StoredFiles]:
        """Files that are in object storage and here, by the time of the jobs' ends."""

    async def forget_local(self, task_ids: Collection[int]) -> None:
        """Keeps that the files of such jobs are not here any more."""


class Members(Protocol):
    """The servers that share the store. Each owns the jobs and sessions that it acts for.

    Every method raises StoreUnavailable when the store does not answer.
    """

    async def join(self, name: str, *, address: str, home: str, lease: timedelta | None) -> Lease:
        """Takes the lease of a name, with a greater fence, and what the name owned before.

        Args:
            name: The server's name.
            address: `host:port` for the other servers; "" is none.
            home: Its machine and data directory. A lease of the same home is no hindrance, since
                one process alone holds the directory.
            lease: How long it holds unless it is renewed; None is for ever, for the one server of
                a store that no other uses, which gets all that there is.

        Raises:
            NameTaken: a server elsewhere holds it, and the store is shared.
        """

    async def renew(self, lease: Lease, length: timedelta) -> None:
        """Lets a lease hold for so long from now on.

        Raises:
            LeaseLost: another one took its place.
        """

    async def leave(self, lease: Lease) -> None:
        """Ends a lease, so that others need not wait for its end.

        Raises:
            LeaseLost: another one took its place.
        """

    async def take_over(self, lease: Lease) -> Inheritance | None:
        """Fences a server whose lease has run out, and takes the jobs and sessions that it has.

        Returns:
            None where there is no such server, or another one is just taking over from it.

        Raises:
            LeaseLost: the lease of the one that would take over has ended, too.
        """

    async def live_instances(self) -> Sequence[Instance]:
        """The servers whose leases hold, by name."""

    async def owners_of(self, task_ids: Collection[int]) -> Mapping[int, Owner]:
        """Which servers act for jobs, by the numbers of those that there are."""


class Store(Protocol):
    """Durable jobs, results, sessions, users, their logins and tokens.

    Every method raises StoreUnavailable when the store does not answer.
    """

    async def open(self) -> None:
        """Connects and migrates. Called once, before anything else.

        Raises:
            SchemaTooNew: a newer release has written the database.
        """

    async def close(self) -> None:
        """Finishes the writes that were begun and disconnects."""

    async def create_job(
        self, spec: JobSpec, *, instance: str, limits: GroupLimits | None = None
    ) -> tuple[Job, bool]:
        """Makes a job durable; the flag tells whether it is new.

        Numbers rise from 1 and are never given out again. Two specs with the same `request_id` are
        the same when all else but `source.requestIP`, which the service sets, is the same.

        Args:
            spec: What is to run.
            instance: The server that accepts it.
            limits: Those of the group, to hold over all servers. Jobs for which there is a place to
                run do not count as waiting. A store of one server leaves that to its scheduler.

        Raises:
            GroupFull: as many jobs wait as may.
            RequestIdReused: `spec.request_id` was used by the same submit user with another spec.
        """

    async def find_request(self, spec: JobSpec) -> Job | None:
        """The job that `create_job` made of the same request before, or None.

        Raises:
            RequestIdReused: as `create_job`.
        """

    async def get_job(self, task_id: int) -> Job | None:
        """One job, or None where the number names none."""

    async def list_jobs(
        self,
        where: JobFilter,
        *,
        limit: int,
        before_task_id: int | None = None,
        offset: int = 0,
    ) -> Sequence[Job]:
        """Jobs by falling number; `before_task_id` goes on after a page, `offset` after that many.

        Their `code` is empty and their `params` are unset, so that a page stays small.
        """

    async def count_jobs(self, where: JobFilter) -> int:
        """How many jobs `list_jobs` gives in all."""

    async def unfinished_jobs(self, owner: str | None = None) -> Sequence[Job]:
        """The jobs that have not ended, of an owner or of all, by rising number."""

    async def transition(
        self,
        task_id: int,
        to: JobStatus,
        *,
        expect: Collection[JobStatus],
        session_id: str | None = None,
        error: JobError | None = None,
        progress: float | None = None,
        attempt: int | None = None,
        progress_info: tuple[ProgressInfo, ...] | None = None,
        retry_time: datetime | None = None,
    ) -> Job:
        """Compare-and-set of the state, which sets the time that belongs to it.

        Scheduled sets `schedule_time`, Running `start_time`, a final state `end_time`; a session
        sets `session_reused` with it. Running and WaitForRetry count anew for how long the job is
        paused. Fields left None stay as they are, but for `error`: it is always set, so that the
        next try clears the error of the one before. A final state clears `paused`. Expected states
        that `to` can't follow do not count.

        Raises:
            NotFound: there is no such job.
            TransitionRefused: the job was in none of the expected states.
        """

    async def schedule(
        self, job: Job, *, at_most: int, session_id: str | None = None
    ) -> tuple[Job, bool]:
        """Makes a waiting job Scheduled, unless so many of its group are, or run, on all servers.

        With a session that it may have at once, it is Running in that already. The flag tells
        whether there is room for one more after it. A store of one server leaves that to its
        scheduler.

        Raises:
            GroupFull: they are as many; nothing was changed.
            NotFound, TransitionRefused: as `transition`.
        """

    async def set_paused(self, task_id: int, paused: bool) -> Job:
        """Sets the flag of a job that has not ended.

        Raises:
            NotFound: there is no such job.
            TransitionRefused: the job has ended.
        """

    async def add_result(self, task_id: int, result: ResultSet) -> Job:
        """Adds a result set, or replaces the one with its index, and counts them.

        Raises:
            NotFound: there is no such job.
        """

    async def list_results(
        self, task_id: int, *, limit: int, after_index: int = -1
    ) -> Sequence[ResultSet]:
        """A job's result sets by rising index."""

    async def get_result(self, task_id: int, index: int) -> ResultSet | None:
        """One result set, or None."""

    async def clear_results(self, task_id: int) -> Job:
        """Forgets a job's result sets, before another try.

        Raises:
            NotFound: there is no such job.
        """

    async def put_session(self, record: SessionRecord) -> None:
        """Adds a session, or replaces the one with its id."""

    async def remove_session(self, session_id: str) -> None:
        """Forgets a session; one that is not there is no error."""

    async def list_sessions(self) -> Sequence[SessionRecord]:
        """All sessions, by time of creation."""

    async def set_online(self, instance: str, online: bool) -> None:
        """Keeps whether an instance takes new jobs."""

    async def is_online(self, instance: str) -> bool:
        """Whether an instance takes new jobs; so unless it was told otherwise."""

    async def put_token(self, token: Token) -> None:
        """Adds a token, or replaces the one with its id."""

    async def find_token(self, secret_hash: bytes) -> Token | None:
        """The token with this hash, or None."""

    async def list_tokens(
        self, *, limit: int, after: tuple[datetime, str] | None = None
    ) -> Sequence[Token]:
        """Tokens by time of creation and id; `after` goes on after the last one of a page."""

    async def remove_token(self, token_id: str) -> bool:
        """Forgets a token; False when there was none."""

    async def add_user(self, user: User) -> bool:
        """Adds a user; False when the name is taken, and then nothing is changed."""

    async def get_user(self, name: str) -> User | None:
        """One user, or None."""

    async def list_users(self, *, limit: int, after_name: str = "") -> Sequence[User]:
        """Users by name; `after_name` goes on after a page."""

    async def set_password(self, name: str, password_hash: str) -> User:
        """Sets a user's password and ends his login sessions.

        Raises:
            NotFound: there is no such user.
        """

    async def set_user_disabled(self, name: str, disabled: bool) -> User:
        """Disables a user, which ends his login sessions, or enables him.

        Raises:
            NotFound: there is no such user.
        """

    async def log_in(
        self, session: LoginSession, *, password_hash: str, idle_since: datetime
    ) -> User | None:
        """Adds a login session and counts the login; gives the user as he was before.

        None, and nothing changed, when the user has not that password any more, or is disabled.
        Sessions not used since `idle_since` are forgotten, whose ever they are.
        """

    async def find_login_session(self, ticket_hash: bytes) -> LoginSession | None:
        """The login session with this hash, or None."""

    async def touch_login_session(self, ticket_hash: bytes, used_time: datetime) -> None:
        """Notes when a login session was last used; one that is not there is no error."""

    async def remove_login_session(self, ticket_hash: bytes) -> None:
        """Ends a login session; one that is not there is no error."""
