"""When a program that sessions share is started, and when not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from entrance_server.engines.companions import Companions
from entrance_server.engines.failures import SessionRefused
from entrance_server.engines.isolation import Level
from entrance_server.engines.registry import EngineInfo, EngineRegistry


def companions(directory: Path, module: str, isolation: Level = "limits") -> Companions:
    """Those of an engine whose sessions share a module's program, unless they set `own`."""
    engine = EngineInfo(
        "shared", "1", ("x",), "Shared.", companion=lambda given: None if "own" in given else module
    )
    return Companions(
        EngineRegistry([engine], aliases={}),
        directory=directory,
        python_executable="",
        isolation=isolation,
    )


async def test_nothing_is_started_for_a_session_that_shares_nothing(tmp_path: Path) -> None:
    assert await companions(tmp_path, "nothing").secrets("shared", {"own": "1"}) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("isolation", ["user", "sandbox"])
async def test_nothing_runs_as_the_server_where_users_are_kept_apart(
    tmp_path: Path, isolation: Level
) -> None:
    with pytest.raises(SessionRefused, match=f"at isolation {isolation} engine shared has no"):
        await companions(tmp_path, "nothing", isolation).secrets("shared", {})
    assert list(tmp_path.iterdir()) == []


async def test_a_program_that_does_not_start_is_told_with_its_last_line(tmp_path: Path) -> None:
    wrong = re.escape("no.such.module ended: ") + ".*No module named"
    with pytest.raises(SessionRefused, match=wrong):
        await companions(tmp_path, "no.such.module").secrets("shared", {})


async def test_what_a_dead_program_left_is_not_taken_for_a_living_one(tmp_path: Path) -> None:
    directory = tmp_path / "no.such.module"
    directory.mkdir()
    (directory / "lock").touch()
    (directory / "ready.json").write_text('{"pid": 1, "secrets": {}}')
    shared = companions(tmp_path, "no.such.module")
    with pytest.raises(SessionRefused):
        await shared.secrets("shared", {})
    await shared.aclose()
