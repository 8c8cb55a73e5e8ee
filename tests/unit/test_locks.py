"""The locks pin what the project asks for, all of it and nothing else, by version and hash."""

from __future__ import annotations

import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.locks import Pin, asked_for, needed, pins_in

ROOT = Path(__file__).parents[2]
_FILES = [*ROOT.glob("requirements*.lock"), ROOT / "deploy" / "requirements.lock"]
LOCKS = {str(path.relative_to(ROOT)): pins_in(path.read_text()) for path in _FILES}
MAIN = "requirements.lock"
LEFT_OUT = {"pyspark-client"}  # of which `pyspark` has all, under the same name of the package
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
every_lock = pytest.mark.parametrize("pins", LOCKS.values(), ids=LOCKS)


def project() -> list[Requirement]:
    """What the main lock is made for."""
    asked = asked_for(PROJECT, ["dev"])
    return [one for one in asked if canonicalize_name(one.name) not in LEFT_OUT]


def versions_of(pins: list[Pin]) -> dict[str, str]:
    """The versions by name that are for this machine."""
    return {pin.name: pin.version for pin in pins if pin.is_for_here}


@every_lock
def test_every_entry_has_one_version_and_hashes_and_names_no_place(pins: list[Pin]) -> None:
    assert pins
    for pin in pins:
        assert pin.version
        assert pin.hashes, pin.requirement
        assert pin.requirement.url is None


@every_lock
def test_no_package_is_there_twice_for_one_machine(pins: list[Pin]) -> None:
    names = [pin.name for pin in pins if pin.is_for_here]
    assert len(names) == len(set(names))


def test_the_locks_agree() -> None:
    main = versions_of(LOCKS[MAIN])
    for pins in LOCKS.values():
        for name, version in versions_of(pins).items():
            assert main.get(name, version) == version


def test_each_version_is_one_that_the_project_takes() -> None:
    main = versions_of(LOCKS[MAIN])
    for requirement in project():
        name = canonicalize_name(requirement.name)
        if requirement.marker is None or requirement.marker.evaluate():
            assert requirement.specifier.contains(main[name]), requirement


def test_the_lock_holds_what_is_needed_and_nothing_else() -> None:
    assert versions_of(LOCKS[MAIN]).keys() == needed(project())


def test_the_lock_of_the_build_holds_what_it_needs_and_nothing_else() -> None:
    build = PROJECT["dependency-groups"]["build"]
    empty = {"project": {"dependencies": build, "optional-dependencies": {}}}
    assert versions_of(LOCKS["requirements-build.lock"]).keys() == needed(asked_for(empty, []))


def test_what_is_installed_is_what_is_locked() -> None:
    locked = {
        name: version for pins in LOCKS.values() for name, version in versions_of(pins).items()
    }
    # not what lies within a package that brings its own, as that of Ray does
    for one in metadata.distributions(path=[sysconfig.get_path("platlib")]):
        name = canonicalize_name(one.metadata["Name"])
        if name != "entrance":
            assert locked.get(name) == one.version, name
