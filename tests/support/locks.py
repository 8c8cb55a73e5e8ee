"""The locks: what they pin, and what the project and installed packages ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Pin:
    """One entry of a lock."""

    requirement: Requirement
    hashes: Sequence[str]

    @property
    def name(self) -> NormalizedName:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The only version that it allows; fails when there is more than one."""
        (one,) = self.requirement.specifier
        assert (one.operator, "*" in one.version) == ("==", False), self.requirement
        return one.version

    @property
    def is_for_here(self) -> bool:
        """Whether it is for this system and this Python."""
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def pins_in(lock: str) -> list[Pin]:
    """The entries of a lock; fails on anything that is neither an entry nor a comment."""
    lines = [line for line in lock.splitlines() if not line.lstrip().startswith("#")]
    return [_pin(entry) for entry in "\n".join(lines).replace("\\\n", " ").splitlines() if entry]


def _pin(entry: str) -> Pin:
    requirement, *hashes = re.split(r"\s+(?=--)", entry.strip())
    assert all(_HASH.fullmatch(one) for one in hashes), entry
    return Pin(Requirement(requirement), hashes)


def asked_for(project: Mapping[str, Any], groups: Iterable[str]) -> list[Requirement]:
    """What the project asks for itself: its base, all extras, and some dependency groups."""
    extras = project["project"]["optional-dependencies"].values()
    texts = [*project["project"]["dependencies"], *(one for extra in extras for one in extra)]
    texts += [text for group in groups for text in _group(project, group)]
    return [Requirement(text) for text in texts]


def _group(project: Mapping[str, Any], name: str) -> Iterator[str]:
    for entry in project["dependency-groups"][name]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from _group(project, entry["include-group"])


def needed(requirements: Iterable[Requirement]) -> set[NormalizedName]:
    """The names of all that some requirements bring here, as the installed packages tell it."""
    found: set[tuple[NormalizedName, str]] = set()
    waiting = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            name = canonicalize_name(requirement.name)
            if (name, extra) not in found:
                found.add((name, extra))
                waiting += _needs(name, extra)
    return {name for name, _ in found}


def _needs(name: NormalizedName, extra: str) -> Iterator[Requirement]:
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement
