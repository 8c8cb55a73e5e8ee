"""The page for callers of other servers names every route."""

from __future__ import annotations

import re
from pathlib import Path

import hatch_build
from entrance_gateway.operations import SERVICES, operations_of
from entrance_gateway.paths import REST_ROOT

PAGE = (Path(hatch_build.__file__).parent / "docs" / "migrating.md").read_text()
ROW = re.compile(r"^\| `([A-Z]+) (/\S+)` \| (\S+) \|", re.MULTILINE)


def test_its_tables_name_exactly_the_routes_that_there_are() -> None:
    named = [f"{verb} {REST_ROOT}{path}" for verb, path, _ in ROW.findall(PAGE)]
    there = [f"{operation.verb} {operation.path}" for operation in operations_of(SERVICES)]
    assert sorted(named) == sorted(there)


def test_it_says_of_each_how_it_compares() -> None:
    assert {mark for _, _, mark in ROW.findall(PAGE)} == {"equal", "better", "new"}
