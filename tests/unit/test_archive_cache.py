"""Copies of files that are elsewhere: made once, bounded, never half."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrance_server.archive import Cache, CacheFull


class Loads:
    """Makes copies, and counts how often each was made."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def __call__(self, name: str, target: Path) -> None:
        self.made.append(name)
        await asyncio.sleep(0)
        target.write_text(name)


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    async with Cache(tmp_path / "cache", max_bytes=10) as cache:
        yield cache


@pytest.fixture
def loads() -> Loads:
    return Loads()


async def test_several_who_want_a_copy_at_once_get_the_same(cache: Cache, loads: Loads) -> None:
    await asyncio.gather(*(cache.get({"1/log": 3}, loads) for _ in range(5)))
    assert loads.made == ["1/log"]
    assert cache.path("1/log").read_text() == "1/log"


async def test_the_least_lately_used_copy_makes_room(cache: Cache, loads: Loads) -> None:
    await cache.get({"1/log": 4}, loads)
    await cache.get({"2/log": 4}, loads)
    assert cache.has(["1/log"])
    await cache.get({"3/log": 4}, loads)
    assert [cache.has([f"{n}/log"]) for n in (1, 2, 3)] == [True, False, True]
    assert not cache.path("2/log").exists()
    assert cache.size == 8


async def test_copies_that_are_dropped_while_others_need_their_room_go_once(
    cache: Cache, loads: Loads
) -> None:
    await cache.get({"1/log": 4, "1/log.idx": 4}, loads)
    await asyncio.gather(cache.drop("1"), cache.get({"2/log": 8}, loads))
    assert cache.size == 8
    assert not list(cache.path("1").iterdir())


async def test_files_wanted_together_are_there_together(cache: Cache, loads: Loads) -> None:
    await cache.get({"1/log": 100, "1/log.idx": 4}, loads)
    assert cache.path("1/log").exists()
    assert cache.path("1/log.idx").exists()


async def test_a_load_that_fails_leaves_nothing(cache: Cache, loads: Loads) -> None:
    async def fail(name: str, target: Path) -> None:
        target.write_text("half")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await cache.get({"1/log": 4}, fail)
    assert (cache.size, list(cache.path("1").iterdir())) == (0, [])
    await cache.get({"1/log": 4}, loads)
    assert cache.path("1/log").read_text() == "1/log"


async def test_there_is_no_copy_for_which_the_disk_has_no_room(
    tmp_path: Path, loads: Loads
) -> None:
    async with Cache(tmp_path / "cache", max_bytes=10, min_free=2**62) as cache:
        with pytest.raises(CacheFull):
            await cache.get({"1/log": 4}, loads)
    assert loads.made == []


async def test_copies_that_are_made_at_once_leave_the_disk_its_room(
    tmp_path: Path, loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    has = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: has._replace(free=100))
    async with Cache(tmp_path / "cache", max_bytes=1_000, min_free=20) as cache:
        wanted = [cache.get({f"{number}/log": 50}, loads) for number in range(2)]
        ends = await asyncio.gather(*wanted, return_exceptions=True)
        assert cache.size == 50
    assert [type(end) for end in ends if end is not None] == [CacheFull]


async def test_a_job_that_is_dropped_has_no_copies(cache: Cache, loads: Loads) -> None:
    await cache.get({"1/log": 4, "1/results/1-0.txt": 2}, loads)
    await cache.drop("1")
    assert cache.size == 0
    assert not cache.path("1/log").exists()
