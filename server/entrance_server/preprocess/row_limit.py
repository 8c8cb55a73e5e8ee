"""A limit of rows for each SELECT, so that no result grows by accident.

Only a statement's outermost query counts: `SELECT`, `WITH … SELECT`, set operations, queries in
parentheses, `FROM …` first and `TABLE …`. A query that feeds a table or a file has no such limit.
A limit in the code is lowered where it is a plain number over the cap, `ALL` or `NULL`; what can't
be told from the text (an expression, a parameter, a share of the rows) is left with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sqlglot import Token, TokenType

from entrance_server.domain.notes import Note
from entrance_server.preprocess.notes import capped, shown
from entrance_server.preprocess.sql import Edit, Statement

_FULL_EXPORT = re.compile(
    r"--set[ \t]*+(?:ide|wds\.linkis)\.engine\.no\.limit\.allow[ \t]*+=[ \t]*+true\b"
)
_NO_LIMIT_CLAUSE = frozenset({"fabric", "oracle", "teradata", "tsql"})
_LIMIT_LAST = frozenset({"athena", "presto", "trino"})  # behind OFFSET; elsewhere before it

_NO_LIMIT = Decimal("Infinity")
_VALUE_ENDS = frozenset({"FOR", "OFFSET", "ONLY", "ROW", "ROWS", "WITH"})

_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
_QUERIES = frozenset({TokenType.SELECT, TokenType.FROM, TokenType.TABLE})
_CHANGES = frozenset({TokenType.INSERT, TokenType.UPDATE, TokenType.DELETE, TokenType.MERGE})
_NO_CLAUSE_BEHIND = frozenset(
    {TokenType.ALIAS, TokenType.COMMA, TokenType.DOT, TokenType.SELECT, TokenType.DISTINCT}
)


@dataclass(frozen=True, slots=True)
class RowLimit:
    """How many rows a query may give: `rows` where it does not say, `cap` at most."""

    rows: int
    cap: int

    @property
    def added(self) -> int:
        """The limit for a query without one."""
        return min(self.rows, self.cap)


def asks_for_full_export(code: str) -> bool:
    """Whether the code has the line that lifts the limit, as callers know it."""
    return _FULL_EXPORT.search(code) is not None


def edits_for(
    statements: Iterable[Statement], limit: RowLimit, dialect: str | None
) -> tuple[list[Edit], tuple[Note, ...]]:
    """The edits that give every query a limit, and a warning for each query that needed one."""
    if dialect in _NO_LIMIT_CLAUSE:
        return [], (Note("WARN", f"{dialect} has no LIMIT: rows are not limited."),)
    edits: list[Edit] = []
    notes: list[Note] = []
    for statement in statements:
        query = _outermost(statement.tokens)
        if not query or not _is_query(statement.tokens, query):
            continue
        edit, said = _limit(query, limit, offset_first=dialect in _LIMIT_LAST)
        if edit is not None:
            edits.append(edit)
        if said:
            notes.append(Note("WARN", f"{statement}: {said}."))
    return edits, capped(notes, "statements")


def _outermost(tokens: Sequence[Token]) -> list[Token]:
    """The tokens of a query that stand in no brackets but those around all of it.

    Inner brackets themselves are kept. Empty where brackets do not match.
    """
    partners = _partners(tokens)
    if partners is None:
        return []
    first, last = 0, len(tokens) - 1
    while first < last and partners.get(first) == last:
        first, last = first + 1, last - 1
    outer: list[Token] = []
    position = first
    while position <= last:
        outer.append(tokens[position])
        partner = partners.get(position)
        if partner is not None:
            outer.append(tokens[partner])
        position = (position if partner is None else partner) + 1
    return outer


def _partners(tokens: Sequence[Token]) -> dict[int, int] | None:
    """The closing bracket's place by the opening one's, or None where some do not match."""
    partners: dict[int, int] = {}
    open_ones: list[int] = []
    for position, token in enumerate(tokens):
        if token.token_type in _OPENING:
            open_ones.append(position)
        elif token.token_type in _CLOSING:
            if not open_ones:
                return None
            partners[open_ones.pop()] = position
    return None if open_ones else partners


def _is_query(tokens: Sequence[Token], outer: Sequence[Token]) -> bool:
    """Whether a statement gives rows to the caller; `outer` are its outermost tokens."""
    lead = next((token for token in tokens if token.token_type is not TokenType.L_PAREN), outer[0])
    if lead.token_type is TokenType.WITH:
        return outer[0] is not lead or _is_query_behind_with(outer)
    types = {token.token_type for token in outer}
    if lead.token_type not in _QUERIES or TokenType.INTO in types:
        return False
    return lead.token_type is not TokenType.FROM or TokenType.INSERT not in types


def _is_query_behind_with(outer: Sequence[Token]) -> bool:
    """Whether the named queries of a WITH are followed by another query, and not by a change."""
    for position in range(1, len(outer)):
        kind = outer[position].token_type
        if kind in _QUERIES:
            return _is_query(outer[position:], outer)
        if kind is TokenType.L_PAREN and outer[position - 1].token_type is TokenType.R_PAREN:
            return True
        if kind in _CHANGES and not _is_name(outer, position):
            return False
    return False


def _is_name(outer: Sequence[Token], position: int) -> bool:
    behind = outer[position + 1 : position + 2]
    return bool(behind) and behind[0].token_type is TokenType.ALIAS


def _limit(
    query: Sequence[Token], limit: RowLimit, *, offset_first: bool
) -> tuple[Edit | None, str]:
    """The edit that a query needs, if any, and what to tell the caller about its limit."""
    if any(token.token_type is TokenType.PIPE_GT for token in query):
        return None, "a query with |> is given no limit; end it with |> LIMIT"
    clause = _clause(query, TokenType.LIMIT)
    if clause is None:
        clause = _clause(query, TokenType.FETCH)
    if clause is None:
        return _added(query, limit.added, offset_first=offset_first)
    value = _value(query, clause)
    rows = None if value is None else _rows(value)
    if value is None or rows is None:
        return None, "its limit is no plain number and was left as it is"
    if rows <= limit.cap:
        return None, ""
    edit = Edit(value.start, value.end + 1, str(limit.cap))
    return edit, f"its limit of {shown(value.text)} was lowered to {limit.cap}"


def _clause(query: Sequence[Token], kind: TokenType) -> int | None:
    """The place of the last clause that begins with a word, which may be a mere name elsewhere."""
    for position in range(len(query) - 2, 0, -1):
        if query[position].token_type is kind and (
            query[position + 1].token_type is TokenType.NUMBER
            or query[position - 1].token_type not in _NO_CLAUSE_BEHIND
        ):
            return position
    return None


def _value(query: Sequence[Token], clause: int) -> Token | None:
    """The n of `LIMIT n`, `LIMIT offset, n` or `FETCH FIRST n ROWS`, where it is a single token."""
    if query[clause].token_type is TokenType.FETCH:
        rest = query[clause + 2 : clause + 4]
    elif query[clause + 2 : clause + 3] and query[clause + 2].token_type is TokenType.COMMA:
        rest = query[clause + 3 : clause + 5]
    else:
        rest = query[clause + 1 : clause + 3]
    if not rest or (len(rest) > 1 and rest[1].text.upper() not in _VALUE_ENDS):
        return None
    return rest[0]


def _rows(value: Token) -> Decimal | None:
    if value.token_type in (TokenType.ALL, TokenType.NULL):
        return _NO_LIMIT
    if value.text.upper() in ("ROW", "ROWS"):
        return Decimal(1)
    if value.token_type is not TokenType.NUMBER:
        return None
    try:
        return Decimal(value.text)
    except InvalidOperation:
        return None


def _added(query: Sequence[Token], rows: int, *, offset_first: bool) -> tuple[Edit, str]:
    said = f"it has no limit; LIMIT {rows} was added"
    offset = None if offset_first else _clause(query, TokenType.OFFSET)
    if offset is not None:
        start = query[offset].start
        return Edit(start, start, f"LIMIT {rows} "), said
    end = query[-1].end + 1
    return Edit(end, end, f" LIMIT {rows}"), said
