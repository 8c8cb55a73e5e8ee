"""The settings that engines declare, and how the texts of their values are read."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from decimal import Decimal

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,3})?) ?([kmgt]?)(i?b?)", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class Scope(enum.StrEnum):
    """When a setting acts."""

    STARTUP = "startup"
    """When a session is opened, so that only jobs with the same value share it."""
    RUNTIME = "runtime"
    """For one run."""


class ParameterType(enum.StrEnum):
    """How the text of a setting is read."""

    TEXT = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    SIZE = "bytes"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A setting that an engine takes; a name that ends in `*` stands for all that begin so.

    `least` and `most` are bounds of a number or a size, and None is no bound. `pattern` is a
    regular expression for a text, and `example` such a text.
    """

    name: str
    type: ParameterType
    description: str
    scope: Scope = Scope.STARTUP
    least: int | None = None
    most: int | None = None
    pattern: str = ""
    example: str = ""

    def has(self, name: str) -> bool:
        """Whether a name is this setting's."""
        if self.name.endswith("*"):
            return name.startswith(self.name[:-1])
        return name == self.name

    def problem(self, text: str) -> str | None:
        """What is wrong with a value, as the end of a sentence; None for nothing."""
        if self._is_readable(text):
            return None
        wanted = [_WANTED[self.type]]
        wanted += [f"such as {self.example}"] if self.example else []
        wanted += [f"of at least {self.least}"] if self.least is not None else []
        wanted += [f"of at most {self.most}"] if self.most is not None else []
        return f"must be {' '.join(wanted)}, not {text[:_SHOWN]!r}"

    def _is_readable(self, text: str) -> bool:
        match self.type:
            case ParameterType.TEXT:
                return not self.pattern or re.fullmatch(self.pattern, text) is not None
            case ParameterType.BOOLEAN:
                return text in ("true", "false")
            case ParameterType.INTEGER:
                return re.fullmatch(r"-?[0-9]{1,18}", text) is not None and self._fits(int(text))
            case ParameterType.SIZE:
                try:
                    return self._fits(size_of(text))
                except ValueError:
                    return False

    def _fits(self, value: int) -> bool:
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )


_SHOWN = 80  # characters of a value
_WANTED = {
    ParameterType.TEXT: "text",
    ParameterType.INTEGER: "a whole number",
    ParameterType.BOOLEAN: "true or false",
    ParameterType.SIZE: "a size such as 512MiB or 2GB",
}


def size_of(text: str) -> int:
    """The bytes that a text such as `512MiB`, `2GB`, `1.5g` or `1048576` tells.

    `kB`, `MB` and so on are powers of 1,000, `KiB`, `MiB` and plain `k`, `m` powers of 1,024.

    Raises:
        ValueError: it tells none.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no size")
    number, prefix, unit = found.groups()
    base = Decimal(1000 if unit.lower() == "b" else 1024)
    return int(Decimal(number) * base ** _POWERS[prefix.lower()])
