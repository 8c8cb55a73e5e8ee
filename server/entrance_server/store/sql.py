"""The store on a SQL database, by SQLAlchemy Core."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Executable, Insert, Row, Update, exc
from sqlalchemy.sql.dml import ReturningUpdate

from entrance_server.domain import errors
from entrance_server.domain.job import (
    GroupKey,
    GroupLimits,
    Job,
    JobError,
    JobSpec,
    ProgressInfo,
    ResultSet,
    SessionRecord,
)
from entrance_server.domain.status import PLACED, WAITING, JobStatus, may_follow
from entrance_server.domain.users import LoginSession, Revocation, Token, User
from entrance_server.store import groups, rows, statements
from entrance_server.store.additions import Additions
from entrance_server.store.archives import SqlArchives
from entrance_server.store.connect import (
    Engines,
    is_shared,
    is_unavailable,
    open_engines,
    unavailable,
)
from entrance_server.store.ledger import SqlLedger
from entrance_server.store.listener import Listener
from entrance_server.store.loads import GroupLoads
from entrance_server.store.members import SqlMembers
from entrance_server.store.port import GroupFull, JobFilter, StoreUnavailable, TransitionRefused
from entrance_server.store.postgresql import LeaseFence, commit, lock_for_migration, notify
from entrance_server.store.revision import reach_newest
from entrance_server.store.revocations import revoked
from entrance_server.store.writer import Writer

T = TypeVar("T")

# What a step leaves as it is, or clears where that is an error.
_UNCHANGED: Mapping[str, object] = dict.fromkeys(
    (
        "p_retry_time",
        "p_session_id",
        "p_progress",
        "p_attempt",
        "p_progress_info",
        "p_error_code",
        "p_error_message",
    )
)


def utc_now() -> datetime:
    """The time now, aware and in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _NewJob:
    """A job to add, and the limits of its group where servers count it together."""

    spec: JobSpec
    instance: str
    limits: GroupLimits | None


@dataclass(frozen=True, slots=True)
class _Connected:
    engines: Engines
    writer: Writer
    readers: ThreadPoolExecutor
    keeper: ThreadPoolExecutor
    listener: Listener | None


class SqlStore(SqlLedger, SqlArchives, SqlMembers):
    """A store in the database of a URL such as `sqlite:////var/lib/entrance/entrance.db`.

    One thread writes and commits all waiting changes together; a few threads read.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], datetime] = utc_now,
        readers: int = 4,
        max_waiting_writes: int = 1024,
    ) -> None:
        self._url = url
        self._clock = clock
        self._reader_count = readers
        self._max_waiting_writes = max_waiting_writes
        self._connected: _Connected | None = None
        self._fence = LeaseFence()
        self._loads = GroupLoads()
        self._additions = Additions()
        self._hearing: list[Callable[[str], None]] = []

    @property
    def is_shared(self) -> bool:
        """Whether other servers may use the database too."""
        return is_shared(self._url)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Connects and migrates."""
        engines = await asyncio.to_thread(self._migrated_engines)
        shared = engines.keeper is not None
        self._connected = _Connected(
            engines=engines,
            writer=Writer(
                engines.writer,
                capacity=self._max_waiting_writes,
                fence=self._fence if shared else None,
            ),
            readers=ThreadPoolExecutor(self._reader_count, thread_name_prefix="store-reader"),
            keeper=ThreadPoolExecutor(1, thread_name_prefix="store-keeper"),
            listener=Listener(engines.reader, self._hear) if shared else None,
        )

    async def close(self) -> None:
        """Finishes the writes that were begun and disconnects."""
        if (connected := self._connected) is None:
            return
        self._connected = None
        await connected.writer.close()
        if connected.listener is not None:
            await connected.listener.close()
        await asyncio.to_thread(connected.readers.shutdown)
        await asyncio.to_thread(connected.keeper.shutdown)
        connected.engines.dispose()

    async def create_job(
        self, spec: JobSpec, *, instance: str, limits: GroupLimits | None = None
    ) -> tuple[Job, bool]:
        """Makes a job durable, or finds the one that the same request made before."""
        locks = self._group_locks(spec.group) if limits else ()
        new = _NewJob(spec, instance, limits if locks else None)
        writer = self._connection().writer
        try:
            return await writer.run_for(self._add_jobs, new, locks=locks), True
        except exc.IntegrityError:
            made_before = await self.find_request(spec)
            if made_before is None:
                raise
            return made_before, False

    async def find_request(self, spec: JobSpec) -> Job | None:
        """The job that the same request made before, or None."""
        asked = {"p_submit_user": spec.submit_user, "p_request_id": spec.request_id}
        row = await self._read_one(statements.FIND_REQUEST, asked)
        if row is None:
            return None
        if row.request_digest != rows.spec_digest(spec):
            raise errors.RequestIdReused(
                f"Request id '{spec.request_id}' was used by job {row.task_id} with another body; "
                "send a new request id for a new job."
            )
        return rows.job_from(row)

    async def get_job(self, task_id: int) -> Job | None:
        """One job, or None."""
        row = await self._read_one(statements.GET_JOB, {"p_task_id": task_id})
        return None if row is None else rows.job_from(row)

    async def list_jobs(
        self,
        where: JobFilter,
        *,
        limit: int,
        before_task_id: int | None = None,
        offset: int = 0,
    ) -> Sequence[Job]:
        """Jobs by falling number."""
        statement = statements.list_jobs(where, before_task_id)
        asked = {"p_limit": limit, "p_offset": offset}
        return await self._read_all(statement, asked, rows.job_from)

    async def count_jobs(self, where: JobFilter) -> int:
        """How many jobs there are."""
        (count,) = await self._read_all(statements.count_jobs(where), {}, lambda row: int(row[0]))
        return count

    async def unfinished_jobs(self, owner: str | None = None) -> Sequence[Job]:
        """The jobs that have not ended, of an owner or of all."""
        if owner is None:
            return await self._read_all(statements.UNFINISHED_JOBS, {}, rows.job_from)
        asked = {"p_owner": owner}
        return await self._read_all(statements.UNFINISHED_JOBS_OF_OWNER, asked, rows.job_from)

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
        """Compare-and-set of the state."""
        parts = None if progress_info is None else rows.progress_values(progress_info)
        values: dict[str, object] = {
            "p_retry_time": retry_time,
            "p_session_id": session_id,
            "p_progress": progress,
            "p_attempt": attempt,
            "p_progress_info": parts,
            "p_error_code": None if error is None else error.code,
            "p_error_message": None if error is None else error.message,
        }

        def step(connection: Connection) -> Job:
            job = self._step(connection, task_id, to, expect, values)
            if to not in PLACED:
                self._announce(connection, groups.place_freed(job.spec.group))
            return job

        return await self._write(step)

    async def schedule(
        self, job: Job, *, at_most: int, session_id: str | None = None
    ) -> tuple[Job, bool]:
        """Makes a waiting job Scheduled, unless so many of its group are, or run."""
        group = job.spec.group
        locks = self._group_locks(group)

        def step(connection: Connection) -> tuple[Job, bool]:
            placed = self._loads.placed(connection, group) if locks else 0
            if placed >= at_most:
                raise GroupFull
            to, through = JobStatus.SCHEDULED, None
            if session_id is not None:
                to, through = JobStatus.RUNNING, JobStatus.SCHEDULED
            values = {**_UNCHANGED, "p_session_id": session_id}
            begun = self._step(connection, job.task_id, to, WAITING, values, through=through)
            return begun, placed + 1 < at_most or not locks

        return await self._write(step, locks=locks)

    async def set_paused(self, task_id: int, paused: bool) -> Job:
        """Sets the flag of a job that has not ended."""

        def hold(connection: Connection) -> Job:
            values = {"p_paused": paused}
            return self._change(connection, statements.SET_PAUSED, task_id, self._clock(), values)

        return await self._write(hold)

    async def add_result(self, task_id: int, result: ResultSet) -> Job:
        """Adds or replaces a result set."""

        def add(connection: Connection) -> Job:
            key = {"p_task_id": task_id, "p_index": result.index}
            values = rows.result_values(task_id, result)
            try:
                _put(connection, statements.REPLACE_RESULT, statements.ADD_RESULT, key, values)
            except exc.IntegrityError:
                raise _no_such_job(task_id) from None
            return self._count_results(connection, task_id)

        return await self._write(add)

    async def list_results(
        self, task_id: int, *, limit: int, after_index: int = -1
    ) -> Sequence[ResultSet]:
        """A job's result sets by rising index."""
        asked = {"p_task_id": task_id, "p_after": after_index, "p_limit": limit}
        return await self._read_all(statements.LIST_RESULTS, asked, rows.result_from)

    async def get_result(self, task_id: int, index: int) -> ResultSet | None:
        """One result set, or None."""
        asked = {"p_task_id": task_id, "p_index": index}
        row = await self._read_one(statements.GET_RESULT, asked)
        return None if row is None else rows.result_from(row)

    async def clear_results(self, task_id: int) -> Job:
        """Forgets a job's result sets."""

        def clear(connection: Connection) -> Job:
            connection.execute(statements.CLEAR_RESULTS, {"p_task_id": task_id})
            return self._count_results(connection, task_id)

        return await self._write(clear)

    async def put_session(self, record: SessionRecord) -> None:
        """Adds or replaces a session."""
        key = {"p_key": record.session_id}
        values = rows.session_values(record)
        await self._write(
            lambda connection: _put(
                connection, statements.REPLACE_SESSION, statements.ADD_SESSION, key, values
            )
        )

    async def remove_session(self, session_id: str) -> None:
        """Forgets a session."""

        def remove(connection: Connection) -> None:
            connection.execute(statements.REMOVE_SESSION, {"p_session_id": session_id})

        await self._write(remove)

    async def list_sessions(self) -> Sequence[SessionRecord]:
        """All sessions, by time of creation."""
        return await self._read_all(statements.LIST_SESSIONS, {}, rows.session_from)

    async def set_online(self, instance: str, online: bool) -> None:
        """Keeps whether an instance takes new jobs."""

        def write(connection: Connection) -> None:
            key = {"p_instance": instance}
            connection.execute(statements.REMOVE_OFFLINE_INSTANCE, key)
            if not online:
                values = {"instance": instance, "since": self._clock()}
                connection.execute(statements.ADD_OFFLINE_INSTANCE, values)

        await self._write(write)

    async def is_online(self, instance: str) -> bool:
        """Whether an instance takes new jobs."""
        asked = {"p_instance": instance}
        return await self._read_one(statements.FIND_OFFLINE_INSTANCE, asked) is None

    async def put_token(self, token: Token) -> None:
        """Adds or replaces a token."""
        key = {"p_key": token.token_id}
        values = rows.token_values(token)
        await self._write(
            lambda connection: _put(
                connection, statements.REPLACE_TOKEN, statements.ADD_TOKEN, key, values
            )
        )

    async def find_token(self, secret_hash: bytes) -> Token | None:
        """The token with this hash, or None."""
        row = await self._read_one(statements.FIND_TOKEN, {"p_secret_hash": secret_hash})
        return None if row is None else rows.token_from(row)

    async def list_tokens(
        self, *, limit: int, after: tuple[datetime, str] | None = None
    ) -> Sequence[Token]:
        """Tokens by time of creation and id."""
        asked: dict[str, object] = {"p_limit": limit}
        if after is None:
            return await self._read_all(statements.LIST_TOKENS, asked, rows.token_from)
        asked["p_after_time"], asked["p_after_id"] = after
        return await self._read_all(statements.LIST_TOKENS_AFTER, asked, rows.token_from)

    async def remove_token(self, token_id: str) -> bool:
        """Forgets a token."""

        def remove(connection: Connection) -> bool:
            done = connection.execute(statements.REMOVE_TOKEN, {"p_token_id": token_id})
            self._announce(connection, revoked(Revocation(token_id=token_id)))
            return done.rowcount > 0

        return await self._write(remove)

    async def add_user(self, user: User) -> bool:
        """Adds a user, unless the name is taken."""

        def add(connection: Connection) -> None:
            connection.execute(statements.ADD_USER, rows.user_values(user))

        try:
            await self._write(add)
        except exc.IntegrityError:
            return False
        return True

    async def get_user(self, name: str) -> User | None:
        """One user, or None."""
        row = await self._read_one(statements.GET_USER, {"p_name": name})
        return None if row is None else rows.user_from(row)

    async def list_users(self, *, limit: int, after_name: str = "") -> Sequence[User]:
        """Users by name."""
        asked = {"p_limit": limit, "p_after_name": after_name}
        return await self._read_all(statements.LIST_USERS, asked, rows.user_from)

    async def set_password(self, name: str, password_hash: str) -> User:
        """Sets a user's password and ends his login sessions."""
        values = {"p_password_hash": password_hash}
        return await self._change_user(
            statements.SET_PASSWORD, name, values, Revocation(user=name, logins_only=True)
        )

    async def set_user_disabled(self, name: str, disabled: bool) -> User:
        """Disables a user, which ends his login sessions, or enables him."""
        values = {"p_disabled": disabled}
        revocation = Revocation(user=name) if disabled else None
        return await self._change_user(statements.SET_DISABLED, name, values, revocation)

    async def log_in(
        self, session: LoginSession, *, password_hash: str, idle_since: datetime
    ) -> User | None:
        """Adds a login session and counts the login."""
        key = {"p_name": session.user}
        now = {"p_now": session.create_time}

        def add(connection: Connection) -> User | None:
            asked = {**key, "p_password_hash": password_hash}
            row = connection.execute(statements.GET_USER_TO_LOG_IN, asked).one_or_none()
            if row is None:
                return None
            idle = {"p_idle_since": idle_since}
            connection.execute(statements.REMOVE_IDLE_LOGIN_SESSIONS, idle)
            connection.execute(statements.COUNT_LOGIN, {**key, **now})
            values = rows.login_session_values(session)
            connection.execute(statements.ADD_LOGIN_SESSION, values)
            return rows.user_from(row)

        return await self._write(add)

    async def find_login_session(self, ticket_hash: bytes) -> LoginSession | None:
        """The login session with this hash, or None."""
        row = await self._read_one(statements.FIND_LOGIN_SESSION, {"p_ticket_hash": ticket_hash})
        return None if row is None else rows.login_session_from(row)

    async def touch_login_session(self, ticket_hash: bytes, used_time: datetime) -> None:
        """Notes when a login session was last used."""
        values = {"p_ticket_hash": ticket_hash, "p_now": used_time}

        def touch(connection: Connection) -> None:
            connection.execute(statements.TOUCH_LOGIN_SESSION, values)

        await self._write(touch)

    async def remove_login_session(self, ticket_hash: bytes) -> None:
        """Ends a login session."""

        def remove(connection: Connection) -> None:
            connection.execute(statements.REMOVE_LOGIN_SESSION, {"p_ticket_hash": ticket_hash})
            self._announce(connection, revoked(Revocation(ticket_hash=ticket_hash)))

        await self._write(remove)

    def _migrated_engines(self) -> Engines:
        """Blocks."""
        with _failures_told():
            engines = open_engines(self._url, readers=self._reader_count)
            try:
                with engines.writer.begin() as connection:
                    if engines.keeper is not None:
                        lock_for_migration(connection)
                    reach_newest(connection)
            except BaseException:
                engines.dispose()
                raise
            return engines

    def _group_locks(self, group: GroupKey) -> Collection[str]:
        """What to hold while the jobs of a group are counted; nothing where no one else does."""
        return (groups.lock_of(group),) if self.is_shared else ()

    def _add_jobs(self, connection: Connection, new: Sequence[_NewJob]) -> Sequence[Job]:
        """Adds jobs by one statement."""
        for one in new:
            if one.limits:
                self._loads.take_room(connection, one.spec.group, one.limits)
        now, lease = self._clock(), self._fence.lease
        jobs = [
            Job(0, one.spec, one.instance, JobStatus.INITED, now, now, owner=one.instance)
            for one in new
        ]
        fence = {"fence": lease.fence if lease else 0}
        try:
            task_ids = self._additions.add(
                connection, [rows.new_job_values(job) | fence for job in jobs]
            )
        except exc.SQLAlchemyError:
            self._loads.forget()  # they take no room
            raise
        return [
            dataclasses.replace(job, task_id=id) for job, id in zip(jobs, task_ids, strict=True)
        ]

    def _step(
        self,
        connection: Connection,
        task_id: int,
        to: JobStatus,
        expect: Collection[JobStatus],
        values: Mapping[str, object],
        *,
        through: JobStatus | None = None,
    ) -> Job:
        """Changes the state of a job, and the times that belong to it and to one on the way."""
        now = self._clock()
        self._loads.forget()
        state = {
            "p_expect": [status for status in expect if may_follow(status, through or to)],
            "p_status": to,
            "p_ends": to.is_final,
            "p_begins": to in (JobStatus.RUNNING, JobStatus.WAIT_FOR_RETRY),
            "p_schedule_time": now if JobStatus.SCHEDULED in (to, through) else None,
            "p_start_time": now if to is JobStatus.RUNNING else None,
            "p_end_time": now if to.is_final else None,
        }
        return self._change(connection, statements.TRANSITION, task_id, now, {**values, **state})

    def _change(
        self,
        connection: Connection,
        statement: ReturningUpdate[Any],
        task_id: int,
        now: datetime,
        values: Mapping[str, object],
    ) -> Job:
        """Changes a job if its state allows it."""
        key = {"p_task_id": task_id}
        row = connection.execute(statement, {**key, "p_now": now, **values}).one_or_none()
        if row is not None:
            return rows.job_from(row)
        row = connection.execute(statements.GET_JOB, key).one_or_none()
        if row is None:
            raise _no_such_job(task_id)
        raise TransitionRefused(rows.job_from(row))

    async def _change_user(
        self,
        statement: ReturningUpdate[Any],
        name: str,
        values: Mapping[str, object],
        revocation: Revocation | None,
    ) -> User:
        key = {"p_name": name}

        def change(connection: Connection) -> User:
            row = connection.execute(statement, {**key, **values}).one_or_none()
            if row is None:
                raise errors.NotFound(f"There is no user '{name}'.")
            if revocation is not None:
                connection.execute(statements.REMOVE_LOGIN_SESSIONS_OF_USER, key)
                self._announce(connection, revoked(revocation))
            return rows.user_from(row)

        return await self._write(change)

    def _count_results(self, connection: Connection, task_id: int) -> Job:
        return self._change(connection, statements.COUNT_RESULTS, task_id, self._clock(), {})

    async def _write(
        self, operation: Callable[[Connection], T], *, locks: Collection[str] = ()
    ) -> T:
        return await self._connection().writer.run(operation, locks=locks)

    async def _keep(self, operation: Callable[[Connection], T]) -> T:
        """As `_write`, on a connection of its own where servers share the database."""
        connected = self._connection()
        engine = connected.engines.keeper
        if engine is None:
            return await self._write(operation)

        def run() -> T:
            with _failures_told():
                return commit(engine, operation)

        return await asyncio.get_running_loop().run_in_executor(connected.keeper, run)

    async def _tell(self, text: str) -> None:
        """Tells the other servers something, where there may be others."""
        if self._connection().engines.keeper is not None:
            await self._keep(lambda connection: notify(connection, text))

    def _announce(self, connection: Connection, text: str) -> None:
        """Tells the other servers something with a change, where there may be others."""
        if self.is_shared:
            notify(connection, text)

    def hear(self, heard: Callable[[str], None]) -> None:
        """Calls back with what other servers tell, from now on."""
        self._hearing.append(heard)

    def _hear(self, text: str) -> None:
        for hear in self._hearing:
            hear(text)

    async def _read_one(
        self, statement: Executable, asked: Mapping[str, object]
    ) -> Row[Any] | None:
        found = await self._read_all(statement, asked, lambda row: row)
        return found[0] if found else None

    async def _read_all(
        self, statement: Executable, asked: Mapping[str, object], convert: Callable[[Row[Any]], T]
    ) -> list[T]:
        connected = self._connection()

        def read() -> list[T]:
            with connected.engines.reader.connect() as connection:
                return [convert(row) for row in connection.execute(statement, dict(asked))]

        def read_again() -> list[T]:
            with _failures_told():
                try:
                    return read()
                except exc.DBAPIError as error:
                    if not error.connection_invalidated:
                        raise
                return read()  # the connection was one of before the database's last start

        return await asyncio.get_running_loop().run_in_executor(connected.readers, read_again)

    def _connection(self) -> _Connected:
        if self._connected is None:
            raise StoreUnavailable("the store is not open")
        return self._connected


def _put(
    connection: Connection,
    replace: Update,
    add: Insert,
    key: Mapping[str, object],
    values: Mapping[str, object],
) -> None:
    """Replaces the row with a key, or adds it."""
    if connection.execute(replace, {**key, **values}).rowcount == 0:
        connection.execute(add, dict(values))


def _no_such_job(task_id: int) -> errors.NotFound:
    return errors.NotFound(f"There is no job {task_id}.")


@contextlib.contextmanager
def _failures_told() -> Iterator[None]:
    """Tells failures of the database in words of the port."""
    try:
        yield
    except (OSError, exc.SQLAlchemyError) as error:
        if is_unavailable(error):
            raise unavailable(error) from error
        raise
