"""Runners of this machine, as far as they need not be started."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import cast

import psutil
import pytest

from entrance_server.engines.isolation import SessionIsolation
from entrance_server.engines.launcher import LocalLauncher


class SlowDisk:
    """Makes the directory of a session, and goes on, or fails, when the test lets it."""

    def __init__(self, sessions_dir: Path, *, is_full: bool = False) -> None:
        self.sessions_dir = sessions_dir
        self._is_full = is_full
        self.begun, self.go_on = threading.Event(), threading.Event()

    def make_directory(self, session_id: str) -> Path:
        directory = self.sessions_dir / session_id
        directory.mkdir(parents=True)
        self.begun.set()
        self.go_on.wait()
        if self._is_full:
            raise OSError("the disk is full")
        return directory

    def scratch(self, session_id: str, runtime_dir: Path) -> Path:
        return runtime_dir / f"{session_id}.d"

    def arguments(self, session_id: str) -> list[str]:
        return []

    def end(self, session_id: str) -> None:
        pass


async def unheard(text: str) -> None:
    pass


def launcher_of(sessions: SlowDisk, runtime_dir: Path) -> LocalLauncher:
    return LocalLauncher(
        isolation=cast(SessionIsolation, sessions),
        runtime_dir=runtime_dir,
        python_executable="",
        orphan_timeout=1,
    )


async def test_a_runner_that_is_just_being_started_is_none_that_an_earlier_server_left(
    tmp_path: Path,
) -> None:
    sessions, left = SlowDisk(tmp_path / "sessions", is_full=True), "f" * 16
    launcher = launcher_of(sessions, tmp_path)
    (tmp_path / "sessions" / left).mkdir(parents=True)
    launching = asyncio.create_task(launcher.launch({}, unheard))
    await asyncio.to_thread(sessions.begun.wait)
    found = await launcher.found()
    sessions.go_on.set()
    with pytest.raises(OSError, match="the disk is full"):
        await launching
    assert found == {left}


async def test_nothing_is_left_of_a_runner_whose_start_was_cancelled(tmp_path: Path) -> None:
    sessions = SlowDisk(tmp_path / "sessions")
    launching = asyncio.create_task(launcher_of(sessions, tmp_path).launch({}, unheard))
    await asyncio.to_thread(sessions.begun.wait)
    launching.cancel()
    await asyncio.sleep(0)
    sessions.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await launching
    await asyncio.get_running_loop().shutdown_default_executor()
    commands = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(tmp_path) in " ".join(command)]
    assert not list(sessions.sessions_dir.iterdir())
