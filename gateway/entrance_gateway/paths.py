"""Paths: the templates of the annotations, matched before percent-decoding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.types import Scope

REST_ROOT = "/api/rest_j/v1"
METHOD_ROOT = "/api"

_JOBS = f"{REST_ROOT}/entrance/"

_VARIABLE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_LITERAL = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A path whose segments are literal or, in braces, variables of one segment each."""

    segments: tuple[str, ...]
    variables: tuple[str | None, ...]  # the name at the place of each variable

    @classmethod
    def parse(cls, text: str) -> PathTemplate:
        """Reads a template such as `/entrance/{id}/status`.

        Raises:
            ValueError: it has a part of another kind.
        """
        if not text.startswith("/"):
            raise ValueError(f"the path '{text}' does not start with a slash")
        segments = tuple(text[1:].split("/"))
        variables = tuple(_variable(segment, text) for segment in segments)
        return cls(segments, variables)

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """The variables' values for a path, or None when it is another one."""
        if len(segments) != len(self.segments):
            return None
        values = {}
        for variable, own, given in zip(self.variables, self.segments, segments, strict=True):
            if variable is not None and given:
                values[variable] = given
            elif given != own:
                return None
        return values

    def __str__(self) -> str:
        return "/" + "/".join(self.segments)

    @property
    def rank(self) -> tuple[bool, ...]:
        """Sorts a literal before a variable at the same place."""
        return tuple(variable is not None for variable in self.variables)


def _variable(segment: str, text: str) -> str | None:
    variable = _VARIABLE.fullmatch(segment)
    if variable is None and not _LITERAL.fullmatch(segment):
        raise ValueError(f"the path '{text}' has a part that is not supported: '{segment}'")
    return variable[1] if variable else None


def segments_of(scope: Scope) -> tuple[str, ...]:
    """A request's path segments, each decoded by itself, so that `%2F` stays within one."""
    raw = scope.get("raw_path")
    if not raw:  # a server need not tell it
        return tuple(scope["path"].split("/")[1:])
    segments = raw.decode("latin-1").split("/")[1:]
    return tuple(map(unquote, segments) if b"%" in raw else segments)


def method_of(path: str) -> str:
    """An operation's name in the envelope: its path, that of a job under the documented root."""
    return METHOD_ROOT + path.removeprefix(REST_ROOT) if path.startswith(_JOBS) else path
