"""The settings that engines take: what they are called, when they act, which values they have."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, Protocol

Scope = Literal["startup", "runtime"]
SCOPES: Sequence[Scope] = ("startup", "runtime")

WORKING_DIRECTORY = "working_directory"
ENVIRONMENT = "env."  # followed by the name of a variable

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Problem = Callable[[str, str], str | None]
"""What is wrong with a name and a value, as the end of a sentence; None for nothing."""


@dataclass(frozen=True, slots=True)
class EngineParameter:
    """A setting that an engine takes; a name that ends in `*` stands for all that begin so."""

    name: str
    scope: Scope
    type: str
    description: str
    problem: Problem

    def has(self, name: str) -> bool:
        """Whether a name is this setting's."""
        if self.name.endswith("*"):
            return name.startswith(self.name[:-1])
        return name == self.name


class Declared(Protocol):
    """A parameter as an engine declares it."""

    name: str
    scope: Scope
    type: str
    description: str

    def problem(self, text: str) -> str | None:
        """What is wrong with a value."""


def declared_by_engine(parameter: Declared) -> EngineParameter:
    """The parameter that an engine declares."""
    return EngineParameter(
        parameter.name,
        parameter.scope,
        str(parameter.type),
        parameter.description,
        lambda _, text: parameter.problem(text),
    )


def of_every_session(allowed: Sequence[Path]) -> tuple[EngineParameter, ...]:
    """The settings that sessions of every engine take.

    Args:
        allowed: Directories in which a session may work, beside its own one.
    """
    return (
        EngineParameter(
            WORKING_DIRECTORY,
            "startup",
            "string",
            "Where the code works: a path below the session's own directory, or an absolute one "
            "that the installation allows.",
            lambda _, text: _directory_problem(text, allowed),
        ),
        EngineParameter(
            f"{ENVIRONMENT}*",
            "startup",
            "string",
            "A variable of the environment in which the code runs.",
            lambda name, _: _variable_problem(name),
        ),
    )


def known(
    parameters: Iterable[EngineParameter], scope: Scope, given: Mapping[str, str]
) -> dict[str, str]:
    """Those of the given settings that are parameters; the others have no effect."""
    return {name: text for name, text in given.items() if find(parameters, scope, name) is not None}


def find(parameters: Iterable[EngineParameter], scope: Scope, name: str) -> EngineParameter | None:
    """The parameter with this name in a scope, or None."""
    return next((one for one in parameters if one.scope == scope and one.has(name)), None)


def is_allowed(path: PurePath, allowed: Sequence[Path]) -> bool:
    """Whether an absolute path without `..` is one of the allowed directories, or below one."""
    return any(path.is_relative_to(directory) for directory in allowed)


def _directory_problem(text: str, allowed: Sequence[Path]) -> str | None:
    path = PurePath(os.path.normpath(text or "."))
    if not path.is_absolute():
        return "must not lead out of the session's directory" if ".." in path.parts else None
    if is_allowed(path, allowed):
        return None
    names = ", ".join(map(str, allowed))
    below = f"a path in {names}, or one" if names else "a path"
    return f"must be {below} below the session's own directory, without a / at its head"


def _variable_problem(name: str) -> str | None:
    if _VARIABLE.fullmatch(name.removeprefix(ENVIRONMENT)):
        return None
    return "must be named env. and letters, digits and _, of which a digit is not the first"
