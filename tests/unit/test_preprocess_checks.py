"""What code may not say: databases, denied names, and nothing at all."""

from __future__ import annotations

import pytest

from entrance_server.domain.errors import InvalidRequest
from entrance_server.preprocess import databases, deny_lists, sql


def refuse_databases(code: str, dialect: str | None = "duckdb") -> None:
    databases.refuse(sql.statements_of(code, sql.tokens_of(code, dialect)), dialect)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("CREATE DATABASE x", "Statement 1 (line 1): CREATE DATABASE"),
        ("create  /* a */ database -- b\n if not exists x", "CREATE DATABASE"),
        ("CREATE OR REPLACE DATABASE x", "CREATE DATABASE"),
        ("SELECT 1;\nDROP DATABASE IF EXISTS x", "Statement 2 (line 2): DROP DATABASE"),
    ],
)
def test_databases_are_neither_made_nor_dropped(code: str, named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        refuse_databases(code)
    assert caught.value.err_code == 20051
    assert named in caught.value.message


@pytest.mark.parametrize(
    "code",
    [
        "-- CREATE DATABASE x",
        "SELECT 'CREATE DATABASE x'",
        "CREATE TABLE database (i INT)",
        'DROP TABLE "database"',
        "SHOW DATABASES",
        "CREATE SCHEMA x",
        "DROP",
        "",
    ],
)
def test_other_statements_pass(code: str) -> None:
    refuse_databases(code)


@pytest.mark.parametrize("dialect", ["spark", "hive", "mysql"])
def test_schema_counts_where_it_is_another_word_for_database(dialect: str) -> None:
    with pytest.raises(InvalidRequest, match="DROP SCHEMA"):
        refuse_databases("DROP SCHEMA x", dialect)


PYTHON = ("os", "sys.exit", "eval", "sc.stop")


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import os", "Line 1: 'os'"),
        ("x = 1\nimport sys, os.path as p", "Line 2: 'os.path'"),
        ("from os import path", "Line 1: 'os'"),
        ("from sys import (argv,\n  exit as leave)", "Line 2: 'sys.exit'"),
        ("if a:\n    sys . exit(3)", "Line 2: 'sys.exit'"),
        ("print(f'{os.getcwd()}')", "'os.getcwd'"),
        ("@os.decorate\ndef f(): ...", "'os.decorate'"),
        ("%time eval('1')", "'eval'"),
        ("!ls\nsc.stop()", "Line 2: 'sc.stop'"),
        ("def f(:\n  os.x", "Line 2: 'os.x'"),
    ],
)
def test_python_is_refused_with_the_name_and_its_line(code: str, named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        deny_lists.refuse_python(code, PYTHON)
    assert caught.value.err_code == 20073
    assert named in caught.value.message


@pytest.mark.parametrize(
    "code",
    [
        "# import os",
        'print(\'os\', """\nimport os\n""")',
        "self.os = thing.eval('x').os",
        "import osmnx, posix_os",
        "sys.exit_code = sys.exiting",
        "from sysconfig import exit_",
        "system",
        "",
    ],
)
def test_python_that_only_resembles_a_denied_name_passes(code: str) -> None:
    deny_lists.refuse_python(code, PYTHON)


SHELL = ("rm", "kill", "source", "spark-submit", "for")


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("rm -rf x", "Line 1: 'rm'"),
        ("ls\nsudo /bin/rm x", "Line 2: 'rm'"),
        ("ls;rm x", "'rm'"),
        ("ls|xargs rm", "'rm'"),
        ("\\rm x", "'rm'"),
        ("x=`rm y`", "'rm'"),
        ('echo "$(rm y)"', "'rm'"),
        ("(kill 1)", "'kill'"),
        ("for i in 1; do :; done", "'for'"),
        ("x=1 spark-submit a.py", "'spark-submit'"),
    ],
)
def test_shell_is_refused_with_the_word_and_its_line(code: str, named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        deny_lists.refuse_shell(code, SHELL)
    assert caught.value.err_code == 50081
    assert named in caught.value.message


@pytest.mark.parametrize(
    "code",
    [
        "# rm x",
        "echo 'rm x' \"rm y\"",
        "rm=3; echo $rm ${rm}",
        "cat <<END\nrm x\nEND\nls",
        "alarm; rm-all; ./rm.d/x; --rm",
        "",
    ],
)
def test_shell_that_only_resembles_a_denied_word_passes(code: str) -> None:
    deny_lists.refuse_shell(code, SHELL)
