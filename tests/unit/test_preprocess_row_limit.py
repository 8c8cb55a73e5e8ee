"""Which statements get a limit of rows, and where it stands."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain.notes import Note
from entrance_server.preprocess import row_limit, sql

LIMIT = row_limit.RowLimit(rows=5000, cap=5000)


def limited(
    code: str, dialect: str | None = "duckdb", limit: row_limit.RowLimit = LIMIT
) -> tuple[str, tuple[Note, ...]]:
    statements = sql.statements_of(code, sql.tokens_of(code, dialect))
    edits, notes = row_limit.edits_for(statements, limit, dialect)
    return sql.edited(code, edits), notes


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("SELECT * FROM t", "SELECT * FROM t LIMIT 5000"),
        ("select * from t;", "select * from t LIMIT 5000;"),
        ("SELECT * FROM t -- all of it", "SELECT * FROM t LIMIT 5000 -- all of it"),
        ("-- first\nSELECT 1 /* one */ ; ", "-- first\nSELECT 1 LIMIT 5000 /* one */ ; "),
        ("(SELECT 1)", "(SELECT 1 LIMIT 5000)"),
        ("((SELECT 1) )", "((SELECT 1 LIMIT 5000) )"),
        ("(SELECT 1) ORDER BY 1", "(SELECT 1) ORDER BY 1 LIMIT 5000"),
        ("SELECT 1 UNION SELECT 2", "SELECT 1 UNION SELECT 2 LIMIT 5000"),
        ("(SELECT 1 LIMIT 3) UNION ALL (SELECT 2)",
         "(SELECT 1 LIMIT 3) UNION ALL (SELECT 2) LIMIT 5000"),
        ("SELECT * FROM (SELECT 1 LIMIT 3)", "SELECT * FROM (SELECT 1 LIMIT 3) LIMIT 5000"),
        ("SELECT (SELECT 1 LIMIT 3)", "SELECT (SELECT 1 LIMIT 3) LIMIT 5000"),
        ("WITH a AS (SELECT 1 LIMIT 3) SELECT * FROM a",
         "WITH a AS (SELECT 1 LIMIT 3) SELECT * FROM a LIMIT 5000"),
        ("WITH RECURSIVE a(n) AS (SELECT 1), b AS MATERIALIZED (SELECT 2) FROM a",
         "WITH RECURSIVE a(n) AS (SELECT 1), b AS MATERIALIZED (SELECT 2) FROM a LIMIT 5000"),
        ("WITH a AS (SELECT 1) (SELECT * FROM a)",
         "WITH a AS (SELECT 1) (SELECT * FROM a) LIMIT 5000"),
        ("(WITH a AS (SELECT 1) SELECT * FROM a) UNION SELECT 2",
         "(WITH a AS (SELECT 1) SELECT * FROM a) UNION SELECT 2 LIMIT 5000"),
        ("WITH a AS (SELECT 1) TABLE a", "WITH a AS (SELECT 1) TABLE a LIMIT 5000"),
        ("FROM t", "FROM t LIMIT 5000"),
        ("FROM t SELECT a", "FROM t SELECT a LIMIT 5000"),
        ("TABLE t", "TABLE t LIMIT 5000"),
        ("SELECT 1 OFFSET 2", "SELECT 1 LIMIT 5000 OFFSET 2"),
        ("SELECT a AS limit, t.offset, \"limit\" FROM t",
         "SELECT a AS limit, t.offset, \"limit\" FROM t LIMIT 5000"),
        ("SELECT 'limit 3'", "SELECT 'limit 3' LIMIT 5000"),
        ("SELECT 1 -- limit 3\n", "SELECT 1 LIMIT 5000 -- limit 3\n"),
        ("SELECT {'a': [1, 2]}, x[1:2]", "SELECT {'a': [1, 2]}, x[1:2] LIMIT 5000"),
        ("SELECT $$x$$;SELECT é", "SELECT $$x$$ LIMIT 5000;SELECT é LIMIT 5000"),
        ("SELECT array_join(['a'],';') AS x\nFROM t",
         "SELECT array_join(['a'],';') AS x\nFROM t LIMIT 5000"),
    ],
)  # fmt: skip
def test_a_query_without_a_limit_gets_one(code: str, expected: str) -> None:
    result, notes = limited(code)
    assert result == expected
    assert notes
    assert all("it has no limit; LIMIT 5000 was added" in note.text for note in notes)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "-- SELECT 1",
        "CREATE TABLE a AS SELECT * FROM t",
        "CREATE VIEW a AS SELECT * FROM t",
        "INSERT INTO a SELECT * FROM t",
        "WITH b AS (SELECT 1) INSERT INTO a SELECT * FROM b",
        "WITH b AS (SELECT 1) REPLACE INTO a SELECT * FROM b",
        "WITH b AS (SELECT 1) DELETE FROM a WHERE x IN (SELECT * FROM b)",
        "COPY (SELECT * FROM t) TO 'x.csv'",
        "COPY a FROM 'x.csv'",
        "EXPLAIN SELECT 1",
        "DESCRIBE SELECT 1",
        "UPDATE a SET x = (SELECT 1)",
        "DELETE FROM a",
        "SET x = 1",
        "VALUES (1), (2)",
        "SELECT 1 LIMIT 5000",
        "SELECT * FROM dual WHERE (1=1)LIMIT 1;",
        "SELECT 1 LIMIT 0 OFFSET 9999",
        "SELECT 1 OFFSET 9999 LIMIT 10",
        "SELECT 1 LIMIT 5_000",
        "(SELECT 1 LIMIT 10)",
        "(SELECT 1) LIMIT 10",
        "SELECT 1 UNION SELECT 2 LIMIT 3",
        "SELECT 1 FETCH FIRST 10 ROWS ONLY",
        "SELECT 1 FETCH NEXT ROW ONLY",
        "SELECT (1",
        "SELECT 1)",
    ],
)
def test_other_statements_stay_as_they_are(code: str) -> None:
    assert limited(code) == (code, ())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("SELECT * FROM dual WHERE (1=1)LIMIT 5001;", "SELECT * FROM dual WHERE (1=1)LIMIT 5000;"),
        ("SELECT 1 limit\n99999 -- many", "SELECT 1 limit\n5000 -- many"),
        ("SELECT 1 LIMIT 10_000 OFFSET 7", "SELECT 1 LIMIT 5000 OFFSET 7"),
        ("SELECT 1 LIMIT 1e9", "SELECT 1 LIMIT 5000"),
        ("SELECT 1 LIMIT ALL", "SELECT 1 LIMIT 5000"),
        ("SELECT 1 LIMIT NULL;", "SELECT 1 LIMIT 5000;"),
        ("SELECT 1 LIMIT 99999999999999999999", "SELECT 1 LIMIT 5000"),
        ("SELECT 1 LIMIT 7, 9999", "SELECT 1 LIMIT 7, 5000"),
        ("(SELECT 1 LIMIT 9999)", "(SELECT 1 LIMIT 5000)"),
        ("(SELECT 1 LIMIT 9999) LIMIT 8888", "(SELECT 1 LIMIT 9999) LIMIT 5000"),
        ("WITH a AS (SELECT 1 LIMIT 9999) FROM a LIMIT 8888",
         "WITH a AS (SELECT 1 LIMIT 9999) FROM a LIMIT 5000"),
        ("SELECT 1 FETCH FIRST 9999 ROWS ONLY", "SELECT 1 FETCH FIRST 5000 ROWS ONLY"),
    ],
)  # fmt: skip
def test_a_limit_over_the_cap_is_lowered(code: str, expected: str) -> None:
    result, (note,) = limited(code)
    assert result == expected
    assert note.level == "WARN"
    assert note.text.startswith("Statement 1 (line 1): its limit of ")
    assert note.text.endswith(" was lowered to 5000.")


@pytest.mark.parametrize(
    "code",
    [
        "SELECT 1 LIMIT 2 * 5000",
        "SELECT 1 LIMIT (SELECT 9999)",
        "SELECT 1 LIMIT 10%",
        "SELECT 1 LIMIT 10 PERCENT",
        "SELECT 1 LIMIT ?",
        "SELECT 1 LIMIT -1",
        "SELECT 1 FETCH FIRST 10 PERCENT ROWS ONLY",
        "FROM t |> WHERE a",
    ],
)
def test_a_limit_that_the_text_does_not_tell_is_left_with_a_warning(code: str) -> None:
    result, (note,) = limited(code)
    assert (result, note.level) == (code, "WARN")


@pytest.mark.parametrize(
    ("dialect", "code", "expected"),
    [
        ("trino", "SELECT 1 OFFSET 2", "SELECT 1 OFFSET 2 LIMIT 5000"),
        ("spark", "SELECT 1 OFFSET 2", "SELECT 1 LIMIT 5000 OFFSET 2"),
        ("spark", "SELECT /*+ REBALANCE */ 1", "SELECT /*+ REBALANCE */ 1 LIMIT 5000"),
        ("spark", "SELECT limit FROM `t;` -- x", "SELECT limit FROM `t;` LIMIT 5000 -- x"),
        ("hive", "FROM t INSERT OVERWRITE TABLE a SELECT 1",
         "FROM t INSERT OVERWRITE TABLE a SELECT 1"),
        ("postgres", "SELECT * INTO a FROM t", "SELECT * INTO a FROM t"),
        (None, "SELECT 1", "SELECT 1 LIMIT 5000"),
    ],
)  # fmt: skip
def test_dialects_differ(dialect: str | None, code: str, expected: str) -> None:
    assert limited(code, dialect)[0] == expected


def test_a_dialect_without_limit_is_left_alone_with_a_warning() -> None:
    code = "SELECT 1"
    assert limited(code, "tsql") == (
        code,
        (Note("WARN", "tsql has no LIMIT: rows are not limited."),),
    )


def test_the_added_limit_is_never_over_the_cap() -> None:
    limit = row_limit.RowLimit(rows=100, cap=10)
    assert limited("SELECT 1", limit=limit)[0] == "SELECT 1 LIMIT 10"
    limit = row_limit.RowLimit(rows=100, cap=1000)
    assert limited("SELECT 1; SELECT 1 LIMIT 999", limit=limit)[0] == (
        "SELECT 1 LIMIT 100; SELECT 1 LIMIT 999"
    )


def test_each_statement_is_named_by_number_and_line() -> None:
    _, notes = limited("SET x = 1;\n\n-- here\nSELECT 1")
    assert [note.text for note in notes] == [
        "Statement 2 (line 4): it has no limit; LIMIT 5000 was added."
    ]


def test_many_statements_give_few_notes() -> None:
    _, notes = limited("SELECT 1;" * 100)
    assert len(notes) == 21
    assert notes[-1] == Note("WARN", "80 more statements are like these.")


@pytest.mark.parametrize(
    "line",
    ["--set ide.engine.no.limit.allow=true", "--set wds.linkis.engine.no.limit.allow = true"],
)
def test_a_line_may_ask_for_a_full_export(line: str) -> None:
    assert row_limit.asks_for_full_export(f"{line}\nSELECT 1")
    assert not row_limit.asks_for_full_export(f"{line}x\nSELECT 1".replace("true", "false"))


@given(st.lists(st.sampled_from([
    "SELECT", "FROM", "WITH", "TABLE", "LIMIT", "OFFSET", "FETCH", "FIRST", "ROWS", "ONLY", "UNION",
    "AS", "ALL", "NULL", "INTO", "INSERT", "(", ")", ",", ".", "7", "9999", "t", "-- c\n", ";", "*",
])), st.sampled_from(["duckdb", "spark", "trino", "postgres", None]))  # fmt: skip
def test_what_was_limited_once_stays_as_it_is(words: list[str], dialect: str | None) -> None:
    once, _ = limited(" ".join(words), dialect)
    assert limited(once, dialect)[0] == once


QUERIES = st.recursive(
    st.sampled_from(["SELECT 1 AS i", "FROM t", "TABLE t", "SELECT i FROM t WHERE i > 2"]),
    lambda queries: st.one_of(
        queries.map(lambda query: f"({query})"),
        queries.map(lambda query: f"SELECT * FROM ({query}) x"),
        queries.map(lambda query: f"WITH a AS ({query}) FROM a"),
        st.tuples(queries, queries).map(lambda pair: f"({pair[0]}) UNION ALL ({pair[1]})"),
        queries.map(lambda query: f"({query}) LIMIT 4"),
        queries.map(lambda query: f"({query}) OFFSET 1"),
        queries.map(lambda query: f"({query}) LIMIT 99999 OFFSET 1"),
        queries.map(lambda query: f"({query}) -- all\nORDER BY ALL"),
    ),
    max_leaves=4,
)


@given(QUERIES)
def test_duckdb_runs_what_was_limited_and_gives_no_more_rows(query: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT i FROM range(20) r(i)")
        rows = connection.execute(query).fetchall()
        result, _ = limited(query, limit=row_limit.RowLimit(rows=6, cap=6))
        assert len(connection.execute(result).fetchall()) == min(len(rows), 6)
