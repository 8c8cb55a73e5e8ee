"""Which lines of the code set a variable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.notes import Note
from entrance_server.preprocess import set_lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--@set a=1", {"a": "1"}),
        ("--@set a = 1 ;", {"a": "1"}),
        ("  \t--@set a=1\r", {"a": "1"}),
        ("--@set\ta=1;;", {"a": "1;"}),
        ("--@set db.name_2='x y'", {"db.name_2": "'x y'"}),
        ("--@set where=a=1 and b=2", {"where": "a=1 and b=2"}),
        ("SELECT 1\n--@set a=1\n--@set a=2", {"a": "2"}),
        ("SELECT 1 --@set a=1", {}),
        ("--@settings a=1", {}),
        ("--set a=1", {}),
        ("#@set a=1", {}),
        ("", {}),
    ],
)
def test_a_line_of_sql_sets_a_variable(line: str, expected: dict[str, str]) -> None:
    assert set_lines.read(line, "sql") == (expected, ())


@pytest.mark.parametrize("dialect", ["python", "shell"])
def test_python_and_shell_have_a_marker_of_their_own(dialect: str) -> None:
    assert set_lines.read("#@set a=1\n--@set b=2", dialect) == ({"a": "1"}, ())


def test_other_languages_have_no_such_lines() -> None:
    assert set_lines.read("--@set\n#@set", "other") == ({}, ())


@pytest.mark.parametrize(
    "line", ["--@set", "--@set  ", "--@set a", "--@set a=", "--@set a=;", "--@set =1",
             "--@set 1a=1", "--@set my-var=1", "--@set a b=1"]
)  # fmt: skip
def test_a_line_that_sets_nothing_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(InvalidRequest, match=r"Line 2: .* write --@set name=value") as caught:
        set_lines.read(f"SELECT 1\n{line}", "sql")
    assert caught.value.err_code == 20041


def test_a_line_that_only_looks_like_one_gives_a_warning() -> None:
    found, notes = set_lines.read("-- @set a=1\n---@set b=2\n--@set c=3", "sql")
    assert found == {"c": "3"}
    text = "A variable is set by a line that starts with --@set, which these do not: line 1, 2."
    assert notes == (Note("WARN", text),)


@given(st.text(alphabet="-#@set a=1;\n\t"), st.sampled_from(["sql", "python"]))
def test_any_code_is_read_or_refused(code: str, dialect: str) -> None:
    found: dict[str, str] = {}
    err_code: int | None = 20041
    try:
        found, _ = set_lines.read(code, dialect)
    except InvalidRequest as error:
        err_code = error.err_code
    assert err_code == 20041
    assert all(found.values())
