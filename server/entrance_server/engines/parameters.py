"""The settings that engines take: what they are called, when they act, which values they have."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, Protocol

from pydantic import ByteSize, TypeAdapter

Scope = Literal["startup", "runtime"]
SCOPES: Sequence[Scope] = ("startup", "runtime")

WORKING_DIRECTORY = "working_directory"
ENVIRONMENT = "env."  # followed by the name of a variable
RAY = "ray."  # followed by what is asked of Ray
RAY_CORES = f"{RAY}cores"
RAY_MEMORY = f"{RAY}memory"

_BYTES = TypeAdapter(ByteSize)
_SHORT = re.compile(r"([kmgt])i?$", re.IGNORECASE)

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


def of_every_session_on_ray() -> tuple[EngineParameter, ...]:
    """The settings that say how much of a node of a Ray cluster a session gets."""
    return (
        EngineParameter(
            RAY_CORES,
            "startup",
            "number",
            "Cores that Ray sets aside for the session; its engine's own setting of cores, or 1, "
            "unless it is given.",
            lambda _, text: _cores_problem(text),
        ),
        EngineParameter(
            RAY_MEMORY,
            "startup",
            "bytes",
            "Memory that Ray sets aside for the session; its engine's own memory_limit, or none, "
            "unless it is given.",
            lambda _, text: _size_problem(text),
        ),
    )


def asked_of_ray(options: Mapping[str, str]) -> tuple[float, int]:
    """The cores and the bytes of memory that startup settings, which were checked, ask Ray for."""
    cores = options.get(RAY_CORES) or _value(options, ".cores") or "1"
    memory = options.get(RAY_MEMORY) or _value(options, ".memory_limit") or "0"
    return float(cores), _size(memory)


def _size(text: str) -> int:
    # as engines read sizes: `4g` is 4 GiB
    return int(_BYTES.validate_python(_SHORT.sub(r"\1iB", text.strip())))


def _value(options: Mapping[str, str], ending: str) -> str | None:
    return next((text for name, text in options.items() if name.endswith(ending)), None)


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


def _cores_problem(text: str) -> str | None:
    # Ray gives out parts of one core, and whole ones beyond
    if re.fullmatch(r"0\.[0-9]{1,2}|[0-9]{1,4}", text) and float(text) > 0:
        return None
    return f"must be a part of one core such as 0.5, or a whole number of cores, not {text[:80]!r}"


def _size_problem(text: str) -> str | None:
    try:
        _size(text)
    except ValueError:
        return f"must be a size such as 512MiB or 2GB, not {text[:80]!r}"
    return None


def _variable_problem(name: str) -> str | None:
    if _VARIABLE.fullmatch(name.removeprefix(ENVIRONMENT)):
        return None
    return "must be named env. and letters, digits and _, of which a digit is not the first"
