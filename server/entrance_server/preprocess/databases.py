"""Keeps jobs from making and dropping databases."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import TokenType

from entrance_server.preprocess import refusals
from entrance_server.preprocess.sql import Statement

_VERBS = frozenset({TokenType.CREATE, TokenType.DROP})
_SCHEMA_IS_DATABASE = frozenset({"databricks", "hive", "mysql", "spark", "spark2"})


def refuse(statements: Iterable[Statement], dialect: str | None) -> None:
    """Checks that no statement is CREATE DATABASE or DROP DATABASE.

    SCHEMA counts as well in dialects where it is another word for DATABASE.

    Raises:
        InvalidRequest: a statement is one.
    """
    words = {"DATABASE", "SCHEMA"} if dialect in _SCHEMA_IS_DATABASE else {"DATABASE"}
    for statement in statements:
        if not statement.tokens or statement.tokens[0].token_type not in _VERBS:
            continue
        verb, *rest = [token.text.upper() for token in statement.tokens[:4]]
        if rest[:2] == ["OR", "REPLACE"]:
            rest = rest[2:]
        if rest and rest[0] in words:
            raise refusals.refusal(
                refusals.SQL_REFUSED,
                f"{statement}: {verb} {rest[0]} is not allowed here; remove it, or ask an "
                "administrator to do it.",
            )
