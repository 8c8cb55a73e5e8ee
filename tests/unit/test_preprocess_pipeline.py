"""The steps together: their order, their switches, and what a job's log says of them."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.notes import Note
from entrance_server.preprocess import Dialect, Prepared, PreprocessSettings, prepare

NOW = datetime(2024, 3, 1, 11, 5, 6, tzinfo=timezone(timedelta(hours=8)))
DEFAULTS = PreprocessSettings()


def run(
    code: str,
    dialect: Dialect = "sql",
    variables: dict[str, str] | None = None,
    sql_dialect: str | None = "duckdb",
    submit_user: str | None = None,
    **switches: Any,
) -> Prepared:
    return prepare(
        code,
        dialect=dialect,
        sql_dialect=sql_dialect,
        variables=variables or {},
        user="alice",
        now=NOW,
        settings=dataclasses.replace(DEFAULTS, **switches),
        submit_user=submit_user,
    )


def refusal(code: str, dialect: Dialect = "sql", **more: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        run(code, dialect, **more)
    return caught.value


def test_all_steps_act_on_sql_and_say_so() -> None:
    prepared = run(
        "--@set days=2\nSELECT '${run_date - days}', '&{yyyy-MM-dd%-1M}' FROM ${table} -- ${x}",
        variables={"table": "flights", "days": "9"},
    )
    assert prepared == Prepared(
        "--@set days=2\nSELECT '20240227', '2024-01-29' FROM flights LIMIT 5000 -- ${x}",
        (
            Note("INFO", "Variables put in: ${run_date - days} = 20240227, ${table} = flights."),
            Note("WARN", "Not set, or without a value, and left as written: ${x}."),
            Note("INFO", "Dates put in: &{yyyy-MM-dd%-1M} = 2024-01-29."),
            Note("WARN", "Statement 1 (line 2): it has no limit; LIMIT 5000 was added."),
        ),
    )


def test_code_that_needs_nothing_passes_without_a_note() -> None:
    assert run("SELECT 1 LIMIT 1") == Prepared("SELECT 1 LIMIT 1", ())
    assert run("print(1)\n", "python") == Prepared("print(1)\n", ())
    assert run("echo $HOME\n", "shell") == Prepared("echo $HOME\n", ())
    assert run("anything", "other") == Prepared("anything", ())


def test_the_run_date_of_the_request_moves_all_dates() -> None:
    prepared = run("${run_today} &{yyyyMMdd HH}", "other", {"run_date": "20200228"})
    assert prepared.code == "20200229 20200228 11"


def test_an_empty_value_counts_as_not_set() -> None:
    prepared = run("${run_date} ${x}", "python", {"run_date": "", "x": ""})
    assert prepared.code == "20240229 ${x}"


def test_python_and_shell_set_variables_with_a_hash() -> None:
    assert run("#@set n=2\nprint(${n*2})", "python").code == "#@set n=2\nprint(4)"
    assert run("#@set n=2\necho ${n+1} ${HOME}", "shell").code == "#@set n=2\necho 3 ${HOME}"


def test_a_date_pattern_may_be_made_of_variables() -> None:
    assert run("&{yyyyMMdd%-${n}d}", "other", {"n": "3"}).code == "20240226"


def test_the_one_who_sent_the_job_is_the_user_unless_named() -> None:
    assert run("${user} ${submit_user}", "other").code == "alice alice"
    assert run("${user} ${submit_user}", "other", submit_user="bob").code == "alice bob"


def test_variables_are_put_in_before_the_checks() -> None:
    assert refusal("${verb} DATABASE x", variables={"verb": "DROP"}).err_code == 20051
    assert run("SELECT 1 LIMIT ${n}", variables={"n": "9999"}).code == "SELECT 1 LIMIT 5000"


@pytest.mark.parametrize(
    ("code", "dialect"),
    [
        ("", "sql"),
        (" \n\t", "sql"),
        ("-- a\n/* b */", "sql"),
        (" ; -- a\n;", "sql"),
        ("# a\n\n  # b", "python"),
        ("#!/bin/bash\n", "shell"),
        ("\n ", "other"),
    ],
)
def test_code_with_nothing_to_run_is_refused(code: str, dialect: Dialect) -> None:
    assert refusal(code, dialect).err_code == 20007


def test_sql_that_can_not_be_read_is_passed_on_with_a_warning() -> None:
    code = "SELECT 'a; DROP DATABASE x"
    prepared = run(code)
    assert prepared.code == code
    assert [note.level for note in prepared.notes] == ["WARN"]


def test_each_step_has_a_switch() -> None:
    assert run("--@set a=1\nSELECT ${a} LIMIT 1", set_lines=False).code.endswith("${a} LIMIT 1")
    assert run("${user} &{yyyy}", "other", variables={}).code == "alice 2024"
    assert run("#@set\n${user}", "python", set_lines=False).code == "#@set\nalice"
    switched_off = PreprocessSettings(variables=False, date_patterns=False, sql_limit=False)
    prepared = prepare(
        "SELECT '${user} &{yyyy}'",
        dialect="sql",
        sql_dialect=None,
        variables={"run_date": "wrong"},
        user="alice",
        now=NOW,
        settings=switched_off,
    )
    assert prepared == Prepared("SELECT '${user} &{yyyy}'", ())
    assert run("CREATE DATABASE x", allow_create_database=True).code == "CREATE DATABASE x"
    assert run("SELECT 1", sql_limit_rows=7).code == "SELECT 1 LIMIT 7"
    assert run("SELECT 1 LIMIT 9", sql_limit_cap=7).code == "SELECT 1 LIMIT 7"


def test_the_code_may_lift_the_limit_where_that_is_allowed() -> None:
    code = "--set ide.engine.no.limit.allow=true\nSELECT 1"
    assert run(code) == Prepared(
        code, (Note("WARN", "The code asks for a full export: its rows are not limited."),)
    )
    assert run(code, sql_full_export=False).code == f"{code} LIMIT 5000"


def test_deny_lists_are_off_unless_set() -> None:
    assert run("import os", "python").notes == ()
    assert refusal("import os", "python", python_deny=("os",)).err_code == 20073
    assert run("rm x", "shell").notes == ()
    assert refusal("rm x", "shell", shell_deny=("rm",)).err_code == 50081


def test_sql_comments_are_taken_out_where_that_is_set() -> None:
    code = "--@set a=1\nSELECT/* x\ny */${a},'-- no' -- b; c\n, 2--d"
    prepared = run(code, comments="strip", sql_limit=False)
    assert prepared.code == "\nSELECT\n1,'-- no'\n, 2 "
    assert prepared.notes[-1] == Note("INFO", "Comments were taken out of the code.")


def test_hints_are_no_comments() -> None:
    code = "SELECT /*+ BROADCAST(t) */ 1 LIMIT 1"
    assert run(code, sql_dialect="spark", comments="strip").code == code


def test_python_and_shell_keep_their_comments() -> None:
    assert run("x # y", "python", comments="strip").code == "x # y"


def test_an_error_names_the_field_of_the_request() -> None:
    assert refusal("x", "python", variables={"run_date": "x"}).violations[0].field == (
        "params.variable.run_date"
    )
    assert refusal("-- x").violations[0].field == "executionContent.code"


@given(
    st.text(alphabet="${}&%+-#@set=abAyMd'\"\n;/* 19"),
    st.sampled_from(["sql", "python", "shell", "other"]),
    st.sampled_from(["duckdb", "spark", None]),
)
def test_any_code_is_prepared_or_refused_with_a_documented_number(
    code: str, dialect: Dialect, sql_dialect: str | None
) -> None:
    switches: dict[str, Any] = {"comments": "strip", "python_deny": ("a.b",), "shell_deny": ("b",)}
    notes: tuple[Note, ...] = ()
    err_code: int | None = 20007
    try:
        notes = run(code, dialect, {"a": "1", "b": "${a}"}, sql_dialect, **switches).notes
    except InvalidRequest as error:
        err_code = error.err_code
    assert err_code in {20007, 20041, 20042, 20051, 20073, 50081}
    assert all(note.text.isprintable() for note in notes)


@given(st.text(alphabet="SELECT1, ab'\"-/*\n;()$"))
def test_taking_comments_out_twice_is_taking_them_out_once(code: str) -> None:
    try:
        once = run(code, comments="strip", variables={}).code
    except InvalidRequest:
        return
    assert run(once, comments="strip").code == once
