"""Work that goes on when its caller does not, and how long it may when the server stops."""

from __future__ import annotations

import asyncio

import pytest

from entrance_server.service.background import Background


async def test_work_goes_on_when_its_caller_is_cancelled() -> None:
    done = asyncio.Event()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(0)
        done.set()

    async with Background() as background:
        caller = asyncio.create_task(background.finish(work()))
        await begun.wait()
        caller.cancel()
    assert done.is_set()


async def test_work_that_does_not_end_is_cut_off_when_its_owner_ends() -> None:
    async with Background(within=0.01) as background:
        caller = asyncio.create_task(background.finish(asyncio.Event().wait()))
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await caller
