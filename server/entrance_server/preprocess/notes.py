"""Lines that the steps leave in a job's log, and the caller's text within them."""

from __future__ import annotations

from collections.abc import Sequence

from entrance_server.domain.notes import Note

LISTED_MAX = 20  # things that one note names, and notes of one kind
SHOWN_MAX = 60  # characters of the caller's text within a message


def shown(text: str) -> str:
    """The caller's text for use within a line: cut, with control characters escaped."""
    cut = text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in cut)


def listed(things: Sequence[str]) -> str:
    """The first of some things, and how many more there are."""
    rest = len(things) - LISTED_MAX
    more = f" and {rest} more" if rest > 0 else ""
    return ", ".join(things[:LISTED_MAX]) + more


def capped(notes: Sequence[Note], things: str) -> tuple[Note, ...]:
    """The first of some notes of one kind, and a note on how many more `things` have one."""
    rest = len(notes) - LISTED_MAX
    if rest <= 0:
        return tuple(notes)
    return (*notes[:LISTED_MAX], Note(notes[-1].level, f"{rest} more {things} are like these."))
