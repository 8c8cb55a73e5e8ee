"""The steps in their order: variables, dates, then what is due for the language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.notes import Note
from entrance_server.preprocess import (
    builtin_variables,
    comments,
    databases,
    date_patterns,
    deny_lists,
    refusals,
    row_limit,
    set_lines,
    sql,
    variables,
)
from entrance_server.preprocess.settings import PreprocessSettings

Dialect = Literal["sql", "python", "shell", "other"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The code that runs, and lines for the job's log that say what was done to it."""

    code: str
    notes: tuple[Note, ...]


def prepare(
    code: str,
    *,
    dialect: Dialect,
    sql_dialect: str | None,
    variables: Mapping[str, str],
    user: str,
    now: datetime,
    settings: PreprocessSettings,
    submit_user: str | None = None,
) -> Prepared:
    """Makes the code that runs from the code that was sent.

    Takes time and memory in proportion to the code, up to some seconds and 400 MiB for 1 MiB of it:
    call it in a thread, and only as often at a time as there is memory for.

    Args:
        code: as it was sent.
        dialect: the kind of language; `other` has no `@set` lines and no checks.
        sql_dialect: the engine's SQL by the name that sqlglot has for it; None means general SQL.
        variables: `params.variable` of the request.
        user: who the job runs as.
        now: the time where the caller is; yesterday is the default run date.
        settings: the switches.
        submit_user: who sent the job; None means `user`.

    Raises:
        InvalidRequest: the code is blank or not allowed, or a variable is wrong; `err_code` is the
            documented number and the message says what to change.
    """
    code, notes = _with_variables(
        code, dialect, variables, now, settings, user=user, submit_user=submit_user or user
    )
    if dialect == "sql":
        code, sql_notes = _sql(code, sql_dialect, settings)
        return Prepared(code, notes + sql_notes)
    if not code.strip() or (dialect != "other" and comments.only_comments(code)):
        raise _blank()
    if dialect == "python" and settings.python_deny:
        deny_lists.refuse_python(code, settings.python_deny)
    if dialect == "shell" and settings.shell_deny:
        deny_lists.refuse_shell(code, settings.shell_deny)
    return Prepared(code, notes)


def statements(code: str, *, dialect: Dialect, sql_dialect: str | None) -> tuple[str, ...]:
    """The statements of SQL, without the space around them; other code is one."""
    if dialect != "sql":
        return (code,)
    try:
        found = sql.statements_of(code, sql.tokens_of(code, sql_dialect))
    except sql.Unreadable:
        return (code,)
    return tuple(code[one.start : one.end].strip() for one in found if one.tokens)


def _with_variables(
    code: str,
    dialect: Dialect,
    sent: Mapping[str, str],
    now: datetime,
    settings: PreprocessSettings,
    *,
    user: str,
    submit_user: str,
) -> tuple[str, tuple[Note, ...]]:
    own, notes = set_lines.read(code, dialect) if settings.set_lines else ({}, ())
    given = {name: text for name, text in {**sent, **own}.items() if text}
    # most code asks for nothing, and then nothing can be wrong with what is built in
    if settings.variables and (given or "${" in code):
        known, said = variables.resolve(given, now, user=user, submit_user=submit_user)
        code, put_in = variables.replace(
            code, known, dialect=dialect, max_length=settings.max_length
        )
        notes += said + put_in
    if settings.date_patterns:
        run_date = builtin_variables.run_date(given, now)
        code, put_in = date_patterns.replace(
            code, run_date, dialect=dialect, max_length=settings.max_length
        )
        notes += put_in
    return code, notes


def _sql(
    code: str, dialect: str | None, settings: PreprocessSettings
) -> tuple[str, tuple[Note, ...]]:
    try:
        tokens = sql.tokens_of(code, dialect)
    except sql.Unreadable:
        text = "The SQL can't be read, perhaps for a quote or comment that nothing closes"
        return code, (Note("WARN", f"{text}: it is passed on as it is, unchecked."),)
    statements = sql.statements_of(code, tokens)
    if not any(statement.tokens for statement in statements):
        raise _blank()
    if not settings.allow_create_database:
        databases.refuse(statements, dialect)
    edits, notes = _row_limits(code, statements, dialect, settings)
    if settings.comments == "strip":
        without = comments.edits_without(code, tokens)
        edits += without
        notes += (Note("INFO", "Comments were taken out of the code."),) if without else ()
    return sql.edited(code, edits), notes


def _row_limits(
    code: str, statements: list[sql.Statement], dialect: str | None, settings: PreprocessSettings
) -> tuple[list[sql.Edit], tuple[Note, ...]]:
    if not settings.sql_limit:
        return [], ()
    if settings.sql_full_export and row_limit.asks_for_full_export(code):
        return [], (Note("WARN", "The code asks for a full export: its rows are not limited."),)
    limit = row_limit.RowLimit(settings.sql_limit_rows, settings.sql_limit_cap)
    return row_limit.edits_for(statements, limit, dialect)


def _blank() -> InvalidRequest:
    return refusals.refusal(
        refusals.CODE_BLANK, "The code has nothing but space and comments; send code to run."
    )
