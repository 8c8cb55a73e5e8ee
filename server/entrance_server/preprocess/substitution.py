"""Puts text into code at the places that a pattern finds, once and from left to right."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from entrance_server.domain.errors import InvalidRequest
from entrance_server.preprocess import refusals
from entrance_server.preprocess.notes import shown


@dataclass(frozen=True, slots=True)
class Substitution:
    """The new code, and what was put in or left, each once and as a line may show it."""

    code: str
    put_in: list[str]
    left: list[str]


def substitute(
    code: str,
    pattern: re.Pattern[str],
    text_for: Callable[[re.Match[str]], str | None],
    *,
    max_length: int,
) -> Substitution:
    """Puts in a text for each match, or leaves the match where there is None.

    What was put in is not searched again.

    Raises:
        InvalidRequest: the result is longer than `max_length` characters, and than the code was.
    """
    parts: list[str] = []
    put_in: dict[str, str] = {}
    left: dict[str, None] = {}
    position, length = 0, len(code)
    for match in pattern.finditer(code):
        text = text_for(match)
        if text is None:
            left[shown(match[0])] = None
            continue
        length += len(text) - len(match[0])
        if length > max(max_length, len(code)):
            raise _too_long(max_length)
        put_in[shown(match[0])] = shown(text)
        parts += code[position : match.start()], text
        position = match.end()
    result = "".join(parts) + code[position:]
    return Substitution(result, [f"{what} = {text}" for what, text in put_in.items()], list(left))


def _too_long(max_length: int) -> InvalidRequest:
    return refusals.refusal(
        refusals.EXPRESSION_WRONG,
        f"With its variables put in, the code is longer than {max_length} characters; use shorter "
        "values, or use them less often.",
    )
