"""Time limits that share a timer do what a timer each would do."""

from __future__ import annotations

import asyncio

import pytest

from entrance.deadlines import Deadlines


async def test_what_takes_too_long_is_cut_off() -> None:
    with pytest.raises(TimeoutError), Deadlines().within(0.01) as limit:
        await asyncio.Event().wait()
    assert limit.expired()


async def test_what_ends_in_time_is_left_alone() -> None:
    with Deadlines().within(60) as limit:
        await asyncio.sleep(0)
    assert not limit.expired()


async def test_no_limit_is_no_limit() -> None:
    with Deadlines().within(None) as limit:
        await asyncio.sleep(0)
    assert not limit.expired()


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    deadlines = Deadlines()

    async def waits() -> None:
        with deadlines.within(60):
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_shorter_limit_ends_first_whichever_began_first() -> None:
    deadlines, ended = Deadlines(), list[str]()

    async def waits(name: str, seconds: float) -> None:
        try:
            with deadlines.within(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            ended.append(name)

    await asyncio.gather(waits("long", 0.3), waits("short", 0.01))
    assert ended == ["short", "long"]


async def test_the_timer_runs_anew_after_a_pause() -> None:
    deadlines = Deadlines()
    for _ in range(2):
        with pytest.raises(TimeoutError), deadlines.within(0):
            await asyncio.Event().wait()
