"""Runners of this machine, as far as they need not be started."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import cast

import pytest

from entrance_server.engines.isolation import SessionIsolation
from entrance_server.engines.launcher import LocalLauncher


class FullDisk:
    """Makes the directory of a session, and fails with what follows when the test lets it."""

    def __init__(self, sessions_dir: Path) -> None:
        self.sessions_dir = sessions_dir
        self.begun, self.go_on = threading.Event(), threading.Event()

    def make_directory(self, session_id: str) -> Path:
        (self.sessions_dir / session_id).mkdir(parents=True)
        self.begun.set()
        self.go_on.wait()
        raise OSError("the disk is full")

    def end(self, session_id: str) -> None:
        pass


async def unheard(text: str) -> None:
    pass


async def test_a_runner_that_is_just_being_started_is_none_that_an_earlier_server_left(
    tmp_path: Path,
) -> None:
    sessions, left = FullDisk(tmp_path / "sessions"), "f" * 16
    launcher = LocalLauncher(
        isolation=cast(SessionIsolation, sessions),
        runtime_dir=tmp_path / "run",
        python_executable="",
        orphan_timeout=60,
    )
    (tmp_path / "sessions" / left).mkdir(parents=True)
    launching = asyncio.create_task(launcher.launch({}, unheard))
    await asyncio.to_thread(sessions.begun.wait)
    found = await launcher.found()
    sessions.go_on.set()
    with pytest.raises(OSError, match="the disk is full"):
        await launching
    assert found == {left}
