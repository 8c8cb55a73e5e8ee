"""SQL as tokens and statements, without a change to its text.

sqlglot's tokenizer does the reading: it is kept up, knows the quotes, comments and dollar quotes of
each dialect, tells where each token stands, and takes time in proportion to the text (about a
second for 1 MiB, so that large code is for a thread). Its parser is not used: it is far slower, and
would have to write the SQL anew. Other splitters know one dialect (DuckDB's, PostgreSQL's) or guess
(sqlparse).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlglot import Dialect, Token, Tokenizer, TokenType
from sqlglot.errors import TokenError


class Unreadable(Exception):
    """The code has no tokens in this dialect, such as one with a quote that nothing closes."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement's place in the code, its own semicolon included, and its tokens without that."""

    number: int  # from 1, among those that have tokens
    start: int
    end: int
    tokens: Sequence[Token]

    @property
    def line(self) -> int:
        """The line that it begins on, from 1; comments before it do not count."""
        return self.tokens[0].line

    def __str__(self) -> str:
        return f"Statement {self.number} (line {self.line})"


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of the code and what stands there instead."""

    start: int
    end: int
    text: str


def tokens_of(code: str, dialect: str | None) -> list[Token]:
    """The tokens of some SQL, in order.

    Args:
        code: one statement or several.
        dialect: its name as sqlglot knows it; None, or one that is not known, means general SQL.

    Raises:
        Unreadable: the code does not consist of tokens.
    """
    known = Dialect.get(dialect or "") or Dialect
    try:
        return _tokenizer(known).tokenize(code)
    except TokenError as error:
        raise Unreadable from error


def _tokenizer(dialect: type[Dialect]) -> Tokenizer:
    base = dialect.tokenizer_class
    # commands such as RESET would become one token each, with a copy of all tokens before it
    plain = type(base.__name__, (base,), {"COMMANDS": set()})
    tokenizer: Tokenizer = plain(dialect)
    return tokenizer


def statements_of(code: str, tokens: Iterable[Token]) -> list[Statement]:
    """The statements of the code; one after the other they are the code.

    Each has the space and comments before it. Space and comments behind the last semicolon are a
    statement without tokens, as is a semicolon that ends nothing.
    """
    statements: list[Statement] = []
    own: list[Token] = []
    start, number = 0, 0
    for token in tokens:
        if token.token_type is not TokenType.SEMICOLON:
            own.append(token)
            continue
        number += bool(own)
        statements.append(Statement(number, start, token.end + 1, own))
        start, own = token.end + 1, []
    if start < len(code):
        statements.append(Statement(number + bool(own), start, len(code), own))
    return statements


def edited(code: str, edits: Iterable[Edit]) -> str:
    """The code after some edits, which do not overlap; of two at one place the shorter is first."""
    parts: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        parts += code[position : edit.start], edit.text
        position = edit.end
    return "".join(parts) + code[position:]
