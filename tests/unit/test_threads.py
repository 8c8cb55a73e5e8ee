"""Blocking work and its cancelled callers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from entrance_server.threads import run_in_thread


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


async def test_work_gives_its_result(executor: ThreadPoolExecutor) -> None:
    assert await run_in_thread(executor, divmod, 7, 2) == (3, 1)
    assert await run_in_thread(executor, sorted, [1, 2], reverse=True) == [2, 1]


async def test_work_gives_its_error(executor: ThreadPoolExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(executor, divmod, 1, 0)


async def test_a_cancelled_caller_waits_until_the_work_is_done(
    executor: ThreadPoolExecutor,
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    done = []

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()
        done.append(True)

    caller = asyncio.create_task(run_in_thread(executor, work))
    await begun.wait()
    for _ in range(2):  # an impatient one changes nothing
        caller.cancel()
        await asyncio.sleep(0)
        assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done
