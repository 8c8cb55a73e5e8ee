"""Processes of sessions are found by one look for all who ask, and their end is told."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator

import psutil
import pytest

from entrance_server.engines.processes import Found, Orphans, ended


class Looks:
    """Looks that find nothing, and end when they are let go on."""

    def __init__(self) -> None:
        self.count = 0
        self.go_on = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def __call__(self) -> Found:
        self.count += 1
        self.begun.release()
        self.go_on.acquire()
        return {}


async def test_those_who_ask_during_a_look_share_the_next_one() -> None:
    looks = Looks()
    orphans = Orphans(looks)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(orphans.end("first"))
        await asyncio.to_thread(looks.begun.acquire)
        for number in range(50):
            tasks.create_task(orphans.end(f"later-{number}"))
        await asyncio.sleep(0)
        looks.go_on.release(2)
    assert looks.count == 2


async def test_a_look_that_was_broken_off_tells_nothing_to_those_who_wait() -> None:
    looks = Looks()
    orphans = Orphans(looks)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(orphans.end("first"))
        await asyncio.to_thread(looks.begun.acquire)
        tasks.create_task(orphans.end("second"))
        await asyncio.sleep(0)
        first.cancel()
        looks.go_on.release(2)
    assert looks.count == 2


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as child:
        yield child
        child.kill()


async def test_the_end_of_a_process_is_told(child: subprocess.Popen[bytes]) -> None:
    waiting = asyncio.create_task(
        ended(child.pid, lambda: psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE)
    )
    await asyncio.sleep(0)
    assert not waiting.done()
    child.kill()
    await waiting


async def test_a_process_that_has_ended_needs_no_wait(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    await ended(child.pid, lambda: False)
