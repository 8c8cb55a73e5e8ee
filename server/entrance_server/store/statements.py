"""Every statement that the store sends, built once. Bound names start with `p_`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    TextClause,
    and_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    true,
    update,
)

from entrance_server.domain.status import ACTIVE, PLACED
from entrance_server.store.port import JobFilter
from entrance_server.store.schema import (
    ARCHIVED_AND_LOCAL,
    LOAD,
    UNARCHIVED,
    Duration,
    JsonText,
    archives,
    database_now,
    instances,
    jobs,
    login_sessions,
    offline_instances,
    results,
    sessions,
    sqlite_sequence,
    tokens,
    users,
)

_task_id: BindParameter[int] = bindparam("p_task_id")
_now = bindparam("p_now", type_=jobs.c.update_time.type)
_after_time = bindparam("p_after_time", type_=tokens.c.create_time.type)
_name = bindparam("p_name", type_=users.c.name.type)
_ticket_hash = bindparam("p_ticket_hash", type_=login_sessions.c.ticket_hash.type)
_ends = bindparam("p_ends", type_=Boolean)
_paused = bindparam("p_paused", type_=Boolean)


def _kept_if_null(column: str) -> Any:
    given = bindparam(f"p_{column}", type_=jobs.c[column].type)
    return func.coalesce(given, jobs.c[column])


def _not_before(column: str, earlier: ColumnElement[Any]) -> Any:
    """As `_kept_if_null`, but what is given is no earlier than another time of the job.

    It could be where two servers' clocks differ.
    """
    given = bindparam(f"p_{column}", type_=jobs.c[column].type)
    return case((given < earlier, earlier), else_=func.coalesce(given, jobs.c[column]))


# Adds jobs and tells their numbers in the order of the jobs.
ADD_JOBS = insert(jobs).returning(jobs.c.task_id, sort_by_parameter_order=True)

# The last number that SQLite gave to a job.
LAST_NUMBER: Select[Any] = select(func.coalesce(func.max(sqlite_sequence.c.seq), 0)).where(
    sqlite_sequence.c.name == jobs.name
)

# One job.
GET_JOB = select(jobs).where(jobs.c.task_id == _task_id)

# The job that a user submitted under a request id.
FIND_REQUEST = select(jobs).where(
    jobs.c.submit_user == bindparam("p_submit_user"),
    jobs.c.request_id == bindparam("p_request_id"),
)

_LARGE = frozenset({"code", "prepared_code", "notes", "params"})

# Jobs from the newest on, without code and parameters, so that a page stays small.
_LIST_JOBS = select(
    *(column for column in jobs.c if column.name not in _LARGE),
    literal("").label("code"),
    null().label("prepared_code"),
    null().label("notes"),
    literal({}, JsonText).label("params"),
).order_by(jobs.c.task_id.desc())

# The jobs that have not ended.
UNFINISHED_JOBS = select(jobs).where(jobs.c.status.in_(sorted(ACTIVE))).order_by(jobs.c.task_id)

# The same of one owner.
UNFINISHED_JOBS_OF_OWNER = UNFINISHED_JOBS.where(jobs.c.owner == bindparam("p_owner"))


# The jobs of a group that have a place to run and those that wait for it, by state.
COUNT_PLACED_AND_WAITING = (
    select(jobs.c.status, func.count())
    .where(
        LOAD,
        jobs.c.execute_user == bindparam("p_user"),
        jobs.c.creator == bindparam("p_creator"),
        jobs.c.engine_type == bindparam("p_engine_type"),
    )
    .group_by(jobs.c.status)
)

# Those that have a place to run.
COUNT_PLACED = COUNT_PLACED_AND_WAITING.where(jobs.c.status.in_(sorted(PLACED)))

# Whether the session that a job gets has run another one before.
_other_job = jobs.alias("other_job")
_session_id = bindparam("p_session_id", type_=jobs.c.session_id.type)
_SESSION_REUSED = exists().where(
    _other_job.c.session_id == _session_id, _other_job.c.task_id != _task_id
)

# Compare-and-set of the state. What is null stays, but an error is that of this step alone.
TRANSITION = (
    update(jobs)
    .where(
        jobs.c.task_id == _task_id,
        jobs.c.status.in_(bindparam("p_expect", expanding=True)),
    )
    .values(
        status=bindparam("p_status"),
        update_time=_now,
        paused=case((_ends, false()), else_=jobs.c.paused),
        pause_time=case((_ends, null()), else_=jobs.c.pause_time),
        paused_for=case(
            (bindparam("p_begins", type_=Boolean), literal(timedelta(), Duration)),
            else_=jobs.c.paused_for,
        ),
        retry_time=_kept_if_null("retry_time"),
        start_time=_not_before(
            "start_time", func.coalesce(jobs.c.schedule_time, jobs.c.create_time)
        ),
        end_time=_not_before("end_time", func.coalesce(jobs.c.start_time, jobs.c.create_time)),
        schedule_time=_not_before("schedule_time", jobs.c.create_time),
        session_id=_kept_if_null("session_id"),
        session_reused=case(
            (_session_id.is_not(None), _SESSION_REUSED), else_=jobs.c.session_reused
        ),
        progress=_kept_if_null("progress"),
        attempt=_kept_if_null("attempt"),
        progress_info=_kept_if_null("progress_info"),
        error_code=bindparam("p_error_code"),
        error_message=bindparam("p_error_message"),
    )
    .returning(*jobs.c)
)

# Holds or releases a job that has not ended.
SET_PAUSED = (
    update(jobs)
    .where(jobs.c.task_id == _task_id, jobs.c.status.in_(sorted(ACTIVE)))
    .values(
        paused=_paused,
        pause_time=case((_paused, func.coalesce(jobs.c.pause_time, _now)), else_=null()),
        paused_for=case(
            (_paused, jobs.c.paused_for),
            else_=jobs.c.paused_for
            + func.coalesce(_now - jobs.c.pause_time, literal(timedelta(), Duration)),
        ),
        update_time=_now,
    )
    .returning(*jobs.c)
)

# Replaces a result set.
REPLACE_RESULT = update(results).where(
    results.c.task_id == _task_id, results.c.result_index == bindparam("p_index")
)

# Adds a result set.
ADD_RESULT = insert(results)

# Forgets the result sets of a job.
CLEAR_RESULTS = delete(results).where(results.c.task_id == _task_id)

# Counts the result sets that a job has.
COUNT_RESULTS = (
    update(jobs)
    .where(jobs.c.task_id == _task_id)
    .values(
        result_count=select(func.count())
        .select_from(results)
        .where(results.c.task_id == _task_id)
        .scalar_subquery(),
        update_time=_now,
    )
    .returning(*jobs.c)
)

# The result sets of a job after an index.
LIST_RESULTS = (
    select(results)
    .where(results.c.task_id == _task_id, results.c.result_index > bindparam("p_after"))
    .order_by(results.c.result_index)
    .limit(bindparam("p_limit"))
)

# One result set.
GET_RESULT = select(results).where(
    results.c.task_id == _task_id, results.c.result_index == bindparam("p_index")
)

_instance = bindparam("p_instance", type_=jobs.c.instance.type)
_ended_before = bindparam("p_ended_before", type_=jobs.c.end_time.type)
_task_ids = bindparam("p_task_ids", expanding=True, type_=jobs.c.task_id.type)

# The jobs of an instance that have ended and have files.
_with_files = (
    jobs.c.instance == _instance,
    jobs.c.has_files.is_(true()),
    jobs.c.end_time.is_not(None),
)


def _of_queue(condition: TextClause) -> Select[Any]:
    return (
        select(jobs.c.task_id, jobs.c.stored_bytes)
        .where(jobs.c.instance == _instance, jobs.c.end_time < _ended_before, condition)
        .order_by(jobs.c.end_time)
        .limit(bindparam("p_limit"))
    )


# What their files take in all, as far as that is known.
STORED_BYTES = select(func.coalesce(func.sum(jobs.c.stored_bytes), 0)).where(*_with_files)

# Those of which it is not known.
UNMEASURED_JOBS = (
    select(jobs.c.task_id)
    .where(*_with_files, jobs.c.stored_bytes.is_(None))
    .limit(bindparam("p_limit"))
)

# Notes what the files of a job take.
SET_STORED_BYTES = (
    update(jobs)
    .where(jobs.c.task_id == bindparam("p_key"), jobs.c.end_time.is_not(None))
    .values(stored_bytes=bindparam("p_bytes"))
)

# Those that ended before a time, from the longest ago on, with what they take.
OLDEST_FILES = (
    select(jobs.c.task_id, func.coalesce(jobs.c.stored_bytes, 0).label("stored_bytes"))
    .where(*_with_files, jobs.c.end_time < _ended_before, jobs.c.removed_time.is_(None))
    .order_by(jobs.c.end_time)
    .limit(bindparam("p_limit"))
)

# Notes that the files of ended jobs are removed from now on.
MARK_REMOVED = (
    update(jobs)
    .where(
        jobs.c.task_id.in_(_task_ids), jobs.c.end_time.is_not(None), jobs.c.removed_time.is_(None)
    )
    .values(removed_time=_now)
)

# Forgets the result sets of jobs whose files are removed.
CLEAR_REMOVED_RESULTS = delete(results).where(
    results.c.task_id.in_(
        select(jobs.c.task_id).where(
            jobs.c.task_id.in_(_task_ids), jobs.c.removed_time.is_not(None)
        )
    )
)

# The jobs whose files are being removed, or were when a server ended.
REMOVALS = (
    select(jobs.c.task_id)
    .where(*_with_files, jobs.c.removed_time.is_not(None))
    .limit(bindparam("p_limit"))
)

# Notes that jobs have no files any more.
FORGET_FILES = (
    update(jobs)
    .where(jobs.c.task_id.in_(_task_ids), jobs.c.end_time.is_not(None))
    .values(has_files=False, stored_bytes=0, has_local=False)
)

# Forgets what jobs had in object storage.
FORGET_ARCHIVES = delete(archives).where(archives.c.task_id.in_(_task_ids))

# Files that are not all in object storage.
UNARCHIVED_FILES = _of_queue(UNARCHIVED)

# Files that are in object storage and here.
LOCAL_COPIES = _of_queue(ARCHIVED_AND_LOCAL)

# Which jobs have ended and have files that were not removed.
JOBS_WITH_FILES = select(jobs.c.task_id).where(
    jobs.c.task_id.in_(_task_ids),
    jobs.c.has_files.is_(true()),
    jobs.c.end_time.is_not(None),
    jobs.c.removed_time.is_(None),
)

# What jobs have in object storage.
GET_ARCHIVES = select(archives).where(archives.c.task_id.in_(_task_ids))

# Notes where a job's objects will be.
ADD_ARCHIVE = insert(archives)

# Notes that a job's objects are there.
FINISH_ARCHIVE = (
    update(archives)
    .where(archives.c.task_id == bindparam("p_key"))
    .values(files=bindparam("p_files", type_=archives.c.files.type))
)

# Notes that jobs have their files in object storage.
MARK_ARCHIVED = (
    update(jobs)
    .where(
        jobs.c.task_id.in_(_task_ids), jobs.c.end_time.is_not(None), jobs.c.removed_time.is_(None)
    )
    .values(archive_time=_now)
)

# Notes that jobs have their files in object storage alone.
FORGET_LOCAL = (
    update(jobs)
    .where(jobs.c.task_id.in_(_task_ids), jobs.c.archive_time.is_not(None))
    .values(has_local=False)
)

# Forgets jobs that ended before a time and have no files.
REMOVE_JOBS = delete(jobs).where(
    jobs.c.task_id.in_(
        select(jobs.c.task_id)
        .where(
            jobs.c.instance == _instance,
            jobs.c.has_files.is_(false()),
            jobs.c.end_time < _ended_before,
        )
        .order_by(jobs.c.end_time)
        .limit(bindparam("p_limit"))
    )
)

# Which numbers from one to another are those of jobs.
KNOWN_JOBS = select(jobs.c.task_id).where(
    jobs.c.task_id.between(bindparam("p_first"), bindparam("p_last"))
)

# The greatest number of a job.
LAST_JOB = select(func.coalesce(func.max(jobs.c.task_id), 0))

_fence = bindparam("p_fence", type_=BigInteger)
_lease_end = database_now() + bindparam("p_lease", type_=Duration)  # null when it never ends
_this = instances.c.name == _name
_is_alive = or_(
    instances.c.lease_expire_time.is_(None), instances.c.lease_expire_time > database_now()
)

# A server, held until it has joined or was refused.
GET_INSTANCE_TO_JOIN: Select[Any] = (
    select(*instances.c, _is_alive.label("is_alive")).where(_this).with_for_update()
)

# A server under its lease, which nobody takes from it before the transaction has ended. A renewal
# of the lease need not wait for that.
HOLD_LEASE: Select[Any] = (
    select(instances.c.fence)
    .where(_this, instances.c.fence == _fence)
    .with_for_update(read=True, key_share=True)
)

# The same, while the lease holds.
HOLD_LIVE_LEASE: Select[Any] = HOLD_LEASE.where(_is_alive)

# A server whose lease has run out and that has jobs or sessions, unless another one is at it.
FIND_GONE: Select[Any] = (
    select(instances.c.name)
    .where(
        not_(_is_alive),
        or_(
            exists().where(jobs.c.owner == instances.c.name, jobs.c.status.in_(sorted(ACTIVE))),
            exists().where(sessions.c.owner == instances.c.name),
        ),
    )
    .order_by(instances.c.lease_expire_time)
    .limit(1)
    .with_for_update(skip_locked=True)
)

_gone = bindparam("p_gone", type_=instances.c.name.type)

# Lets a server that is gone write nothing more, should it come back.
FENCE_OFF = update(instances).where(instances.c.name == _gone).values(fence=instances.c.fence + 1)

# Gives another server its unfinished jobs.
INHERIT_JOBS = (
    update(jobs)
    .where(jobs.c.owner == _gone, jobs.c.status.in_(sorted(ACTIVE)))
    .values(owner=_name, fence=_fence)
    .returning(*jobs.c)
)

# Gives another server its sessions.
INHERIT_SESSIONS = (
    update(sessions).where(sessions.c.owner == _gone).values(owner=_name).returning(*sessions.c)
)

# Adds a server.
ADD_INSTANCE = insert(instances).values(
    name=_name, address=bindparam("p_address"), home=bindparam("p_home"), fence=0
)

# Gives a server its next lease.
TAKE_LEASE = (
    update(instances)
    .where(_this)
    .values(
        address=bindparam("p_address"),
        home=bindparam("p_home"),
        fence=instances.c.fence + 1,
        lease_expire_time=_lease_end,
    )
    .returning(instances.c.fence)
)

# Sets when a lease ends.
SET_LEASE_END = (
    update(instances).where(_this, instances.c.fence == _fence).values(lease_expire_time=_lease_end)
)

# Gives a server under its new lease the jobs that it has already.
OWN_AGAIN = (
    update(jobs)
    .where(jobs.c.owner == _name, jobs.c.status.in_(sorted(ACTIVE)))
    .values(fence=_fence)
)

# Gives a server all jobs, all sessions, and forgets all others.
OWN_ALL_JOBS = update(jobs).where(jobs.c.status.in_(sorted(ACTIVE))).values(owner=_name)
OWN_ALL_SESSIONS = update(sessions).values(owner=_name)
REMOVE_OTHER_INSTANCES = delete(instances).where(instances.c.name != _name)

# The servers whose leases hold.
LIVE_INSTANCES = (
    select(*instances.c, true().label("is_alive")).where(_is_alive).order_by(instances.c.name)
)

# The servers that are gone for long and left jobs, for the first one by name of those that live.
_first = instances.alias("first")
LEFT_TO = (
    select(instances.c.name)
    .where(
        instances.c.lease_expire_time < database_now() - bindparam("p_gone_for", type_=Duration),
        exists().where(jobs.c.instance == instances.c.name),
        select(func.min(_first.c.name))
        .where(
            or_(_first.c.lease_expire_time.is_(None), _first.c.lease_expire_time > database_now())
        )
        .scalar_subquery()
        == _name,
    )
    .order_by(instances.c.name)
)

# Which servers act for jobs, and whether under the leases that they took them with.
FIND_OWNERS = (
    select(
        jobs.c.task_id,
        jobs.c.owner,
        jobs.c.fence,
        jobs.c.end_time,
        instances.c.address,
        and_(instances.c.fence == jobs.c.fence, _is_alive).label("is_alive"),
    )
    .select_from(jobs.outerjoin(instances, instances.c.name == jobs.c.owner))
    .where(jobs.c.task_id.in_(_task_ids))
)

# Replaces a session.
REPLACE_SESSION = update(sessions).where(sessions.c.session_id == bindparam("p_key"))

# Adds a session.
ADD_SESSION = insert(sessions)

# Forgets a session.
REMOVE_SESSION = delete(sessions).where(sessions.c.session_id == bindparam("p_session_id"))

# All sessions from the oldest on.
LIST_SESSIONS = select(sessions).order_by(sessions.c.create_time, sessions.c.session_id)

# Takes an instance offline.
ADD_OFFLINE_INSTANCE = insert(offline_instances)

# Takes it back online.
REMOVE_OFFLINE_INSTANCE = delete(offline_instances).where(
    offline_instances.c.instance == bindparam("p_instance")
)

# Whether an instance is offline.
FIND_OFFLINE_INSTANCE = select(offline_instances).where(
    offline_instances.c.instance == bindparam("p_instance")
)

# Replaces a token.
REPLACE_TOKEN = update(tokens).where(tokens.c.token_id == bindparam("p_key"))

# Adds a token.
ADD_TOKEN = insert(tokens)

# The token of a secret.
FIND_TOKEN = select(tokens).where(tokens.c.secret_hash == bindparam("p_secret_hash"))

# Tokens from the oldest on.
LIST_TOKENS = (
    select(tokens).order_by(tokens.c.create_time, tokens.c.token_id).limit(bindparam("p_limit"))
)

# The same, after one of them.
LIST_TOKENS_AFTER = LIST_TOKENS.where(
    or_(
        tokens.c.create_time > _after_time,
        and_(tokens.c.create_time == _after_time, tokens.c.token_id > bindparam("p_after_id")),
    )
)

# Forgets a token.
REMOVE_TOKEN = delete(tokens).where(tokens.c.token_id == bindparam("p_token_id"))

# Adds a user.
ADD_USER = insert(users)

# One user.
GET_USER = select(users).where(users.c.name == _name)

# Users by name, after a name.
LIST_USERS = (
    select(users)
    .where(users.c.name > bindparam("p_after_name"))
    .order_by(users.c.name)
    .limit(bindparam("p_limit"))
)

# Sets a user's password.
SET_PASSWORD = (
    update(users)
    .where(users.c.name == _name)
    .values(password_hash=bindparam("p_password_hash"))
    .returning(*users.c)
)

# Disables a user or enables him.
SET_DISABLED = (
    update(users)
    .where(users.c.name == _name)
    .values(disabled=bindparam("p_disabled"))
    .returning(*users.c)
)

# A user whom a password lets in, held so that neither changes before he is.
GET_USER_TO_LOG_IN = GET_USER.where(
    users.c.password_hash == bindparam("p_password_hash"), users.c.disabled.is_(False)
).with_for_update()

# Counts a login.
COUNT_LOGIN = (
    update(users)
    .where(users.c.name == _name)
    .values(login_count=users.c.login_count + 1, last_login_time=_now)
)

# Adds a session.
ADD_LOGIN_SESSION = insert(login_sessions)

# The session of a ticket.
FIND_LOGIN_SESSION = select(login_sessions).where(login_sessions.c.ticket_hash == _ticket_hash)

# Notes when a session was last used.
TOUCH_LOGIN_SESSION = (
    update(login_sessions)
    .where(login_sessions.c.ticket_hash == _ticket_hash)
    .values(last_used_time=_now)
)

# Ends a session.
REMOVE_LOGIN_SESSION = delete(login_sessions).where(login_sessions.c.ticket_hash == _ticket_hash)

# Ends all sessions of a user.
REMOVE_LOGIN_SESSIONS_OF_USER = delete(login_sessions).where(login_sessions.c.user == _name)

# Forgets the sessions that have not been used for long.
REMOVE_IDLE_LOGIN_SESSIONS = delete(login_sessions).where(
    login_sessions.c.last_used_time < bindparam("p_idle_since")
)


# Columns of which a filter may name a value.
_EXACT = ("task_id", "execute_user", "creator", "engine_type", "instance", "session_id", "run_type")

# The few jobs that have not ended, set apart: few are found at once by their state, whatever else a
# filter asks for, where a database would rather go through all jobs of a user.
_ACTIVE_JOBS = (
    select(*(column for column in jobs.c if column.name in {*_EXACT, "status", "create_time"}))
    .where(jobs.c.status.in_(sorted(ACTIVE)))
    .cte("active_jobs")
    .prefix_with("MATERIALIZED")
)


def list_jobs(where: JobFilter, before_task_id: int | None) -> Select[Any]:
    """Jobs that pass a filter. Equal sets of conditions share one compiled statement."""
    table = _table(where)
    page = select(table.c.task_id).where(*_conditions(where, table))
    if before_task_id is not None:
        page = page.where(table.c.task_id < before_task_id)
    page = page.order_by(table.c.task_id.desc())
    page = page.limit(bindparam("p_limit", type_=Integer))
    page = page.offset(bindparam("p_offset", type_=BigInteger))
    # numbers first, since an index alone gives them, and rows are then read for one page alone
    return _LIST_JOBS.where(jobs.c.task_id.in_(page))


def count_jobs(where: JobFilter) -> Select[Any]:
    """How many jobs pass a filter."""
    table = _table(where)
    return select(func.count()).select_from(table).where(*_conditions(where, table))


def _table(where: JobFilter) -> FromClause:
    return _ACTIVE_JOBS if where.statuses and where.statuses <= ACTIVE else jobs


def _conditions(where: JobFilter, table: FromClause) -> Iterator[ColumnElement[bool]]:
    if where.statuses:
        yield table.c.status.in_(sorted(where.statuses))
    for column in _EXACT:
        value = getattr(where, column)
        if value is not None:
            yield table.c[column] == value
    if where.task_id_from is not None:
        yield table.c.task_id >= where.task_id_from
    if where.create_time_from is not None:
        yield table.c.create_time >= where.create_time_from
    if where.create_time_to is not None:
        yield table.c.create_time < where.create_time_to
