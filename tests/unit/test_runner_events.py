"""The events of a run and what is kept of them."""

import asyncio

import pytest

from entrance.engine.v1 import engine_pb2 as pb
from entrance_runner.events import BATCH_BYTES, EventBuffer, Superseded


def progress(fraction: float) -> pb.ProgressEvent:
    return pb.ProgressEvent(progress=fraction)


async def read(events: EventBuffer, after: int = 0) -> list[pb.Event]:
    """One batch, as a new reader gets it."""
    return await events.after(after, events.take_over())


async def test_events_are_numbered_from_1() -> None:
    events = EventBuffer()
    events.progress(progress(0))
    await events.log(b"a\n")
    events.end(pb.EndEvent())
    batch = await read(events)
    assert [event.seq for event in batch] == [1, 2, 3]
    assert [event.WhichOneof("kind") for event in batch] == ["progress", "log", "end"]
    assert events.last_seq == 3


async def test_lines_that_nobody_has_read_yet_are_one_event() -> None:
    events = EventBuffer()
    await events.log(b"a\n")
    await events.log(b"b\nc\n")
    (event,) = await read(events)
    assert (event.log.text, event.log.line_count) == ("a\nb\nc\n", 3)


async def test_an_event_that_was_read_does_not_change_any_more() -> None:
    events = EventBuffer()
    await events.log(b"a\n")
    first = await read(events)
    await events.log(b"b\n")
    assert await read(events) == [*first, *await read(events, after=1)]
    assert (await read(events, after=1))[0].log.text == "b\n"


async def test_events_are_kept_until_they_are_acknowledged() -> None:
    events = EventBuffer()
    await events.log(b"a\n")
    await read(events)
    await events.log(b"b\n")
    events.acknowledge(1)
    assert [event.seq for event in await read(events)] == [2]


async def test_a_wait_for_an_acknowledgement_ends_with_that_of_a_later_event() -> None:
    events = EventBuffer()
    await events.log(b"a\n")
    waiting = asyncio.create_task(events.wait_acknowledged(1))
    await read(events)
    await events.log(b"b\n")
    assert not waiting.done()
    events.acknowledge(2)
    await waiting


async def test_of_progress_only_the_newest_is_kept() -> None:
    events = EventBuffer()
    for percent in range(100):
        events.progress(progress(percent / 100))
    await events.log(b"a\n")
    batch = await read(events)
    assert [event.WhichOneof("kind") for event in batch] == ["progress", "log"]
    assert (batch[0].seq, batch[0].progress.progress) == (100, 0.99)


async def test_progress_and_resources_do_not_replace_each_other() -> None:
    events = EventBuffer()
    events.progress(progress(0.5))
    events.resource(pb.ResourceEvent(processes=1))
    events.resource(pb.ResourceEvent(processes=2))
    assert [event.seq for event in await read(events)] == [1, 3]


async def test_a_printer_waits_while_too_much_is_unacknowledged() -> None:
    events = EventBuffer(max_bytes=1000)
    await events.log(b"x" * 999 + b"\n")
    await read(events)
    waiting = asyncio.create_task(events.log(b"y\n"))
    await asyncio.sleep(0)
    assert not waiting.done()
    events.acknowledge(1)
    await waiting
    assert (await read(events, after=1))[0].log.text == "y\n"


async def test_progress_never_waits() -> None:
    events = EventBuffer(max_bytes=100)
    await events.log(b"x" * 999 + b"\n")
    events.progress(progress(1))
    events.end(pb.EndEvent())
    assert events.last_seq == 3


async def test_an_abandoned_buffer_lets_printers_go_on() -> None:
    events = EventBuffer(max_bytes=100)
    await events.log(b"x" * 999 + b"\n")
    waiting = asyncio.create_task(events.log(b"y\n"))
    await asyncio.sleep(0)
    events.abandon()
    await waiting


async def test_a_batch_is_bounded_but_never_empty() -> None:
    events = EventBuffer()
    for _ in range(20):
        await events.log(b"x" * 60_000 + b"\n")
    sizes = []
    seq = 0
    while seq < events.last_seq:
        batch = await read(events, after=seq)
        sizes.append(sum(event.ByteSize() for event in batch))
        seq = batch[-1].seq
    assert len(sizes) > 1
    assert max(sizes) <= BATCH_BYTES


async def test_a_reader_waits_for_the_next_event() -> None:
    events = EventBuffer()
    reading = asyncio.create_task(read(events))
    await asyncio.sleep(0)
    assert not reading.done()
    await events.log(b"a\n")
    assert len(await reading) == 1


async def test_a_reader_of_an_ended_run_gets_nothing_more() -> None:
    events = EventBuffer()
    events.end(pb.EndEvent())
    assert await read(events, after=1) == []


async def test_a_new_reader_takes_over_from_the_one_before() -> None:
    events = EventBuffer()
    old = events.take_over()
    waiting = asyncio.create_task(events.after(0, old))
    await asyncio.sleep(0)
    events.take_over()
    with pytest.raises(Superseded):
        await waiting
    with pytest.raises(Superseded):
        await events.wait_finished(old)


async def test_a_run_is_finished_when_its_end_is_acknowledged() -> None:
    events = EventBuffer()
    await events.log(b"a\n")
    events.end(pb.EndEvent())
    events.acknowledge(1)
    assert not events.finished
    events.acknowledge(2)
    assert events.finished
