"""Comments: code that holds nothing else, and SQL without them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import Token

from entrance_server.preprocess.sql import Edit


def only_comments(code: str) -> bool:
    """Whether every line of Python or shell code is blank or a comment."""
    return all(not line or line.startswith("#") for line in map(str.strip, code.split("\n")))


def edits_without(code: str, tokens: Iterable[Token]) -> list[Edit]:
    """The edits that take the comments out of SQL; each leaves its line breaks, or else a space."""
    edits: list[Edit] = []
    position = 0
    ends = [(token.start, token.end + 1) for token in tokens]
    for start, end in [*ends, (len(code), len(code))]:
        between = code[position:start]
        if between and not between.isspace():
            edits.append(Edit(position, start, "\n" * between.count("\n") or " "))
        position = end
    return edits
