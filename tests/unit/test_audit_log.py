"""The audit file: whole lines, private, rotated by size, and loud about what it could not write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from entrance_server import audit_log
from entrance_server.audit_log import AuditLog
from tests.support.waiting import eventually

LINE = len(b'{"number":0}\n')


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is tried again at once."""
    monkeypatch.setattr(audit_log, "RETRY_DELAY", 0.001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def opened(path: Path, *, max_bytes: int = 10_000, old_files: int = 2) -> AuditLog:
    return AuditLog(path, max_bytes=max_bytes, old_files=old_files)


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(path: Path) -> list[int]:
    return [entry["number"] for entry in entries(path)]


async def test_entries_are_lines_in_their_order(path: Path) -> None:
    async with opened(path) as audit:
        for number in range(100):
            audit.write({"number": number})
    assert numbers(path) == list(range(100))


async def test_a_later_server_goes_on_with_the_file(path: Path) -> None:
    for number in range(2):
        async with opened(path) as audit:
            audit.write({"number": number})
    assert numbers(path) == [0, 1]


async def test_nobody_else_may_read_it(path: Path) -> None:
    path.touch(mode=0o644)
    async with opened(path) as audit:
        audit.write({"number": 0})
    assert path.stat().st_mode & 0o777 == 0o600


async def test_no_text_makes_a_line_of_its_own(path: Path) -> None:
    text = 'x"\n{"action":"Forged"}\r\u2028\x1b[2J'
    async with opened(path) as audit:
        audit.write({"target": text})
    assert entries(path) == [{"target": text}]
    assert path.read_bytes().isascii()


async def test_a_full_file_becomes_an_older_one_and_the_oldest_goes(path: Path) -> None:
    async with opened(path, max_bytes=2 * LINE) as audit:
        for number in range(8):
            audit.write({"number": number})
            await eventually(lambda: not audit._waiting, "it is written")
    older = [path.with_name(f"audit.log.{place}") for place in (1, 2)]
    assert [numbers(one) for one in (path, *older)] == [[6, 7], [4, 5], [2, 3]]
    assert sorted(path.parent.iterdir()) == [path, *older]
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in older)


async def test_without_older_files_a_full_file_is_begun_anew(path: Path) -> None:
    async with opened(path, max_bytes=LINE, old_files=0) as audit:
        for number in range(3):
            audit.write({"number": number})
            await eventually(lambda: not audit._waiting, "it is written")
    assert numbers(path) == [2]
    assert list(path.parent.iterdir()) == [path]


async def test_a_file_that_an_operator_moved_away_is_begun_anew(path: Path) -> None:
    async with opened(path) as audit:
        audit.write({"number": 0})
        await eventually(path.exists, "it is written")
        path.rename(path.with_name("mine"))
        audit.write({"number": 1})
    assert numbers(path) == [1]


async def test_entries_wait_for_a_file_that_can_not_be_written_and_that_is_told(
    path: Path,
) -> None:
    path.mkdir()
    with structlog.testing.capture_logs() as told:
        async with opened(path) as audit:
            for number in range(3):
                audit.write({"number": number})
            await eventually(lambda: told, "the service's own log says so")
            path.rmdir()
    assert {line["event"] for line in told} == {"audit log not written"}
    assert told[0]["log_level"] == "error"
    assert numbers(path) == [0, 1, 2]


async def test_what_is_lost_is_told_in_the_file_and_in_the_services_own_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "MAX_WAITING", 2)
    path.mkdir()
    with structlog.testing.capture_logs() as told:
        async with opened(path) as audit:
            for number in range(5):
                audit.write({"number": number})
            path.rmdir()
    assert entries(path) == [
        {"number": 0},
        {"number": 1},
        {"action": "AuditLinesLost", "lines": 3},
    ]
    assert told[0]["event"] == "audit lines are being lost"


async def test_a_file_that_stays_away_does_not_keep_the_server_from_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "STOP_TIMEOUT", 0.01)
    path.mkdir()
    with structlog.testing.capture_logs() as told:
        async with opened(path) as audit:
            audit.write({"number": 0})
    assert told[-1] == {"event": "audit lines lost", "lines": 1, "log_level": "error"}


async def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path.symlink_to(victim)
    with structlog.testing.capture_logs() as told:
        async with opened(path) as audit:
            audit.write({"number": 0})
            await eventually(lambda: told, "the service's own log says so")
            path.unlink()
    assert victim.read_text() == "untouched"
    assert numbers(path) == [0]
