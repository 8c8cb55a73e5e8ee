"""Arguments that several commands take, and how their texts are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from entrance.cli.problems import Problem

E = TypeVar("E", bound=StrEnum)

JobId = Annotated[str, typer.Argument(metavar="ID", help="An execID or a taskID.")]
JobIds = Annotated[list[str], typer.Argument(metavar="ID...", help="execIDs or taskIDs.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")]


def fits(bits: int) -> Callable[[int | None], int | None]:
    """A check of a number that a call carries in so many bits."""

    def checked(number: int | None) -> int | None:
        if number is not None and not -(1 << bits - 1) <= number < 1 << bits - 1:
            raise typer.BadParameter(f"{number} is out of range")
        return number

    return checked


def pairs(option: str, texts: Iterable[str] | None) -> dict[str, str]:
    """The entries of a repeatable option that takes `name=value`."""
    entries = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Problem(f"{option} takes NAME=VALUE, and '{text}' is none")
        entries[name] = value
    return entries


def choices(option: str, kind: type[E], texts: Iterable[str] | None) -> list[E]:
    """The values of a repeatable option that takes one of a few words, in any case."""
    known = {value.lower(): value for value in kind}
    chosen = []
    for text in texts or ():
        if text.lower() not in known:
            raise Problem(f"{option} takes one of {', '.join(kind)}, and '{text}' is none")
        chosen.append(known[text.lower()])
    return chosen
