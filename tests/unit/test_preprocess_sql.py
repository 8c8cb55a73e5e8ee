"""How SQL is split, without a change to its text."""

from __future__ import annotations

import contextlib

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.preprocess import sql

PIECES = st.lists(
    st.sampled_from(
        ["SELECT 1", "a", " ", "\n", ";", ";;", "'x;y'", '"q;r"', "'it''s;'", "-- c;\n", "/* ; */",
         "/* /* ; */ */", "$$a;b$$", "$t$;$$;$t$", "E'\\';'", "(", ")", "[1;2]", "RESET x", "é"]
    )
)  # fmt: skip


def split(code: str, dialect: str | None = "duckdb") -> list[str]:
    tokens = sql.tokens_of(code, dialect)
    return [code[part.start : part.end] for part in sql.statements_of(code, tokens)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2", ["SELECT 1;", " SELECT 2"]),
        ("SELECT 1;\n", ["SELECT 1;", "\n"]),
        (";;SELECT 1", [";", ";", "SELECT 1"]),
        ("SELECT ';', \"a;b\"; SELECT 2", ["SELECT ';', \"a;b\";", " SELECT 2"]),
        ("SELECT 1 -- a; b\n; SELECT 2", ["SELECT 1 -- a; b\n;", " SELECT 2"]),
        ("SELECT 1 -- it's;\n; SELECT 2", ["SELECT 1 -- it's;\n;", " SELECT 2"]),
        ("/* a; /* b; */ c; */ SELECT 1; x", ["/* a; /* b; */ c; */ SELECT 1;", " x"]),
        ("SELECT '--'; x", ["SELECT '--';", " x"]),
        ("SELECT $$a;b$$, $t$ ; $$ $t$; x", ["SELECT $$a;b$$, $t$ ; $$ $t$;", " x"]),
        ("SELECT E'a\\';b'; x", ["SELECT E'a\\';b';", " x"]),
        ("SELECT 'a\\'; x", ["SELECT 'a\\';", " x"]),
        ("PREPARE p AS SELECT ';'; VACUUM /* ; */ t; x",
         ["PREPARE p AS SELECT ';';", " VACUUM /* ; */ t;", " x"]),
        ("SELECT 1;\r\n--x;\r\nSELECT 2", ["SELECT 1;", "\r\n--x;\r\nSELECT 2"]),
    ],
)  # fmt: skip
def test_semicolons_split_outside_of_quotes_and_comments(code: str, expected: list[str]) -> None:
    assert split(code) == expected


@pytest.mark.parametrize(
    ("dialect", "code", "expected"),
    [
        ("spark", "SELECT 'a\\';b', `x;y`; c", ["SELECT 'a\\';b', `x;y`;", " c"]),
        ("hive", "SELECT \"a\\\";b\"; c", ["SELECT \"a\\\";b\";", " c"]),
        ("mysql", "SELECT 1 # a;b\n; /* /* */ c; d", ["SELECT 1 # a;b\n;", " /* /* */ c;", " d"]),
        ("postgres", "SELECT $a$;$a$, '\\'; c", ["SELECT $a$;$a$, '\\';", " c"]),
        ("trino", "SELECT '\\'; c", ["SELECT '\\';", " c"]),
        (None, "SELECT 1; SELECT 2", ["SELECT 1;", " SELECT 2"]),
        ("not-a-dialect", "SELECT 1; SELECT 2", ["SELECT 1;", " SELECT 2"]),
    ],
)  # fmt: skip
def test_each_dialect_has_its_own_quotes_and_comments(
    dialect: str | None, code: str, expected: list[str]
) -> None:
    assert split(code, dialect) == expected


@pytest.mark.parametrize("code", ["SELECT 'a", 'SELECT "a', "SELECT $$a", "SELECT E'a\\'"])
def test_a_quote_that_nothing_closes_makes_code_unreadable(code: str) -> None:
    with pytest.raises(sql.Unreadable):
        sql.tokens_of(code, "duckdb")


def test_a_statement_knows_its_number_and_line() -> None:
    code = "-- one\n\nSELECT 1;;\n/* two\n*/ SELECT\n2"
    statements = sql.statements_of(code, sql.tokens_of(code, "duckdb"))
    assert [str(found) for found in statements if found.tokens] == [
        "Statement 1 (line 3)",
        "Statement 2 (line 5)",
    ]


@given(PIECES)
def test_the_statements_one_after_the_other_are_the_code(pieces: list[str]) -> None:
    code = "".join(pieces)
    with contextlib.suppress(sql.Unreadable):
        assert "".join(split(code)) == code


@given(st.text(), st.sampled_from(["duckdb", "spark", "postgres", "trino", "sqlite", None]))
def test_any_text_is_split_or_unreadable(code: str, dialect: str | None) -> None:
    with contextlib.suppress(sql.Unreadable):
        assert "".join(split(code, dialect)) == code


@given(st.lists(st.sampled_from([
    "SELECT 1", "SELECT 'x;y', \"q;r\" FROM t", "FROM t -- c;\n", "/* ; /* ; */ */ SELECT $$a;b$$",
    "SELECT E'\\';', $t$;$t$", "INSERT INTO t SELECT 1", "RESET x", "PREPARE p AS SELECT ';'",
    "BEGIN", "", " -- only a comment;\n",
])))  # fmt: skip
def test_statements_are_those_that_duckdb_finds(texts: list[str]) -> None:
    code = ";".join(texts)
    statements = sql.statements_of(code, sql.tokens_of(code, "duckdb"))
    found = duckdb.extract_statements(code)
    assert sum(bool(statement.tokens) for statement in statements) == len(found)


def test_edits_keep_all_that_they_do_not_name() -> None:
    edits = [sql.Edit(3, 5, "X"), sql.Edit(0, 0, ">"), sql.Edit(3, 3, "+")]
    assert sql.edited("abcdefg", edits) == ">abc+Xfg"


def test_a_hundred_thousand_statements_are_split() -> None:
    assert len(split("RESET x;" * 100_000)) == 100_000
