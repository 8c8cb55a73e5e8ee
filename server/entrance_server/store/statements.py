"""Every statement that the store sends, built once. Bound names start with `p_`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    Select,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    literal,
    null,
    select,
    update,
)

from entrance_server.domain.status import ACTIVE
from entrance_server.store.port import JobFilter
from entrance_server.store.schema import (
    Duration,
    JsonText,
    jobs,
    offline_instances,
    results,
    sessions,
    tokens,
)

_task_id: BindParameter[int] = bindparam("p_task_id")
_now = bindparam("p_now", type_=jobs.c.update_time.type)
_ends = bindparam("p_ends", type_=Boolean)
_paused = bindparam("p_paused", type_=Boolean)


def _kept_if_null(column: str) -> Any:
    given = bindparam(f"p_{column}", type_=jobs.c[column].type)
    return func.coalesce(given, jobs.c[column])


# Adds a job and tells its number.
ADD_JOB = insert(jobs).returning(jobs.c.task_id)

# One job.
GET_JOB = select(jobs).where(jobs.c.task_id == _task_id)

# The job that a user submitted under a request id.
FIND_REQUEST = select(jobs).where(
    jobs.c.submit_user == bindparam("p_submit_user"),
    jobs.c.request_id == bindparam("p_request_id"),
)

# Jobs from the newest on, without code and parameters, so that a page stays small.
_LIST_JOBS = (
    select(
        *(column for column in jobs.c if column.name not in {"code", "prepared_code", "params"}),
        literal("").label("code"),
        null().label("prepared_code"),
        literal({}, JsonText).label("params"),
    )
    .order_by(jobs.c.task_id.desc())
    .limit(bindparam("p_limit"))
)

# The jobs that have not ended.
UNFINISHED_JOBS = select(jobs).where(jobs.c.status.in_(sorted(ACTIVE))).order_by(jobs.c.task_id)

# The same of one instance.
UNFINISHED_JOBS_OF_INSTANCE = UNFINISHED_JOBS.where(jobs.c.instance == bindparam("p_instance"))

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
        start_time=_kept_if_null("start_time"),
        end_time=_kept_if_null("end_time"),
        session_id=_kept_if_null("session_id"),
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

# All tokens from the oldest on.
LIST_TOKENS = select(tokens).order_by(tokens.c.create_time, tokens.c.token_id)


def list_jobs(where: JobFilter, before_task_id: int | None) -> Select[Any]:
    """Jobs that pass a filter. Equal sets of conditions share one compiled statement."""
    statement = _LIST_JOBS
    if where.statuses:
        statement = statement.where(jobs.c.status.in_(sorted(where.statuses)))
    for column in ("execute_user", "creator", "engine_type"):
        value = getattr(where, column)
        if value is not None:
            statement = statement.where(jobs.c[column] == value)
    if where.create_time_from is not None:
        statement = statement.where(jobs.c.create_time >= where.create_time_from)
    if where.create_time_to is not None:
        statement = statement.where(jobs.c.create_time < where.create_time_to)
    if before_task_id is not None:
        statement = statement.where(jobs.c.task_id < before_task_id)
    return statement
