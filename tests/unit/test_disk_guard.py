"""When new jobs are refused for want of disk, and that they are taken again."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrance_server.domain.errors import Exhausted
from entrance_server.domain.sizes import spoken
from entrance_server.service import disk_guard
from entrance_server.service.disk_guard import DiskGuard, free_bytes
from tests.support.waiting import eventually


class Disk:
    """A disk with as much space as a test says; None is one that does not answer."""

    def __init__(self, left: int | None) -> None:
        self.left = left

    def free(self, _: Path) -> int:
        if self.left is None:
            raise OSError("stale file handle")
        return self.left


async def test_new_jobs_are_refused_while_less_is_left_than_is_kept(tmp_path: Path) -> None:
    disk = Disk(99)
    guard = DiskGuard(tmp_path, min_free=100, free=disk.free)
    await guard.look()
    with pytest.raises(Exhausted, match="has 99 bytes of disk left, and keeps 100 bytes") as caught:
        guard.check()
    assert caught.value.reason == "DISK_ALMOST_FULL"
    disk.left = 100
    await guard.look()
    guard.check()


async def test_a_disk_that_does_not_answer_refuses_nobody(tmp_path: Path) -> None:
    disk = Disk(1)
    guard = DiskGuard(tmp_path, min_free=100, free=disk.free)
    await guard.look()
    disk.left = None
    await guard.look()
    guard.check()


async def test_it_looks_by_itself_until_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_guard, "LOOK_INTERVAL", 0.001)
    disk = Disk(100)
    async with DiskGuard(tmp_path, min_free=100, free=disk.free) as guard:
        guard.check()
        disk.left = 1
        await eventually(lambda: guard.is_low, "the guard sees that space is gone")


async def test_nothing_is_kept_when_nothing_is_asked_for(tmp_path: Path) -> None:
    guard = DiskGuard(tmp_path, min_free=0, free=Disk(0).free)
    await guard.look()
    guard.check()


def test_a_real_disk_tells_its_space(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1000 * 1024, "0.977 MiB"),
        (10 * 2**30, "10 GiB"),
        (2**50, "1 PiB"),
        (5000 * 2**50, "5e+03 PiB"),
    ],
)
def test_a_size_is_told_in_a_unit_that_fits(size: int, words: str) -> None:
    assert spoken(size) == words
