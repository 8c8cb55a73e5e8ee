"""How SQL is split into statements for a database."""

import pytest

from entrance_runner.sql_text import Unreadable, statements_of


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ("select 1", ["select 1"]),
        ("select 1;", ["select 1"]),
        (
            " ; select ';' ;; select \"a;b\" -- ;\n, 2; -- the end",
            ["select ';'", 'select "a;b" -- ;\n, 2'],
        ),
        ("/* a; b */ select 1 /* c */; show all;", ["select 1", "show all"]),
        ("-- nothing", []),
        ("", []),
    ],
)
def test_statements_end_at_semicolons_outside_of_quotes_and_comments(
    code: str, texts: list[str]
) -> None:
    assert [one.text for one in statements_of(code, "postgres")] == texts


def test_a_dollar_quoted_body_of_postgresql_is_one_statement() -> None:
    body = "do $$ begin perform 1; perform 2; end $$"
    assert [one.text for one in statements_of(f"{body}; select 1", "postgres")] == [
        body,
        "select 1",
    ]


def test_the_first_word_is_in_upper_case_and_not_a_comment() -> None:
    (statement,) = statements_of("-- why\nexplain select 1", "postgres")
    assert statement.first_word == "EXPLAIN"


@pytest.mark.parametrize("dialect", ["postgres", "sqlite", "trino"])
def test_a_quote_that_nothing_closes_is_told(dialect: str) -> None:
    with pytest.raises(Unreadable, match="can't be read"):
        statements_of("select 'a", dialect)
