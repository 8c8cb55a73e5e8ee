"""The pipe that a session's processes print into."""

import asyncio
import contextlib
import os
from collections.abc import Iterator

import pytest

from entrance_runner.output import OutputPipe


@pytest.fixture
def pipe() -> Iterator[OutputPipe]:
    pipe = OutputPipe()
    yield pipe
    pipe.close()


async def pumped(pipe: OutputPipe) -> bytes:
    """All that the pump hands on."""
    printed = bytearray()

    async def sink(lines: bytes) -> None:
        printed.extend(lines)

    await pipe.pump(sink)
    return bytes(printed)


def fills(pipe: OutputPipe) -> bool:
    """Prints until the pipe takes no more."""
    os.set_blocking(pipe.writer, False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(4096):
            os.write(pipe.writer, b"x" * 4096)
        return False
    return True


async def test_what_was_printed_before_the_end_is_handed_on(pipe: OutputPipe) -> None:
    pumping = asyncio.create_task(pumped(pipe))
    await asyncio.sleep(0)
    os.write(pipe.writer, b"one\n")
    os.write(pipe.writer, b"two")
    pipe.end()
    assert await pumping == b"one\ntwo\n"


async def test_a_pipe_serves_one_run_after_the_other(pipe: OutputPipe) -> None:
    for text in (b"first\n", b"second\n"):
        pumping = asyncio.create_task(pumped(pipe))
        await asyncio.sleep(0)
        os.write(pipe.writer, text)
        pipe.end()
        assert await pumping == text


async def test_what_is_printed_between_runs_belongs_to_none(pipe: OutputPipe) -> None:
    os.write(pipe.writer, b"late\n")
    assert pipe.discard() == b"late\n"
    pumping = asyncio.create_task(pumped(pipe))
    await asyncio.sleep(0)
    pipe.end()
    assert await pumping == b""


async def test_nothing_is_read_while_the_sink_does_not_take_more(pipe: OutputPipe) -> None:
    taken = asyncio.Event()
    handed = asyncio.Event()

    async def sink(lines: bytes) -> None:
        if lines:
            handed.set()
            await taken.wait()

    pumping = asyncio.create_task(pipe.pump(sink))
    os.write(pipe.writer, b"one\n")
    await handed.wait()
    assert fills(pipe)
    taken.set()
    pipe.end()
    await pumping
