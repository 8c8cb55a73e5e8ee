"""Whether a server is there."""

import asyncio

from entrance_runner.presence import Presence

SOON = 0.02  # seconds


async def test_a_server_that_never_calls_is_absent() -> None:
    await asyncio.wait_for(Presence().wait_absent(SOON), timeout=5)


async def test_a_server_is_there_while_a_call_is_open() -> None:
    presence = Presence()
    with presence.call():
        absent = asyncio.create_task(presence.wait_absent(SOON))
        await asyncio.wait({absent}, timeout=10 * SOON)
        assert not absent.done()
    await asyncio.wait_for(absent, timeout=5)
