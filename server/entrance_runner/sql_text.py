"""SQL split into statements by sqlglot's tokenizer, which knows the quotes of each dialect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import Dialect, Token, TokenType
from sqlglot.errors import TokenError

from entrance_runner.statements import StatementFailed


class Unreadable(StatementFailed):
    """The code does not consist of tokens; the message says why."""


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """A statement as it was written, without its semicolon."""

    text: str
    first_word: str  # in upper case


def statements_of(code: str, dialect: str) -> Sequence[SqlStatement]:
    """The statements of some code; comments alone are none.

    Args:
        code: Any SQL.
        dialect: Its name as sqlglot knows it.

    Raises:
        Unreadable: a quote or a comment is not closed.
    """
    try:
        return list(_statements(code, _tokens(code, Dialect.get_or_raise(dialect))))
    except TokenError as error:
        raise Unreadable(f"the SQL can't be read: {error}") from None


def _tokens(code: str, dialect: Dialect) -> Sequence[Token]:
    base = dialect.tokenizer_class
    # commands such as SHOW would become one token to the end of the code
    plain = type(base.__name__, (base,), {"COMMANDS": set()})
    tokens: Sequence[Token] = plain(type(dialect)).tokenize(code)
    return tokens


def _statements(code: str, tokens: Sequence[Token]) -> Iterator[SqlStatement]:
    first: Token | None = None
    last: Token | None = None
    for token in tokens:
        if token.token_type is not TokenType.SEMICOLON:
            first, last = first or token, token
        elif first and last:
            yield _statement(code, first, last)
            first = last = None
    if first and last:
        yield _statement(code, first, last)


def _statement(code: str, first: Token, last: Token) -> SqlStatement:
    return SqlStatement(code[first.start : last.end + 1], first.text.upper())
