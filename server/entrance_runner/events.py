"""The events of a run: numbered, and kept until the server has made them durable."""

from __future__ import annotations

import asyncio
import bisect
from operator import attrgetter

from google.protobuf import timestamp_pb2

from entrance.engine.v1 import engine_pb2 as pb

MAX_BYTES = (
    4 * 1024 * 1024
)  # of events that are not acknowledged; then the run's output has to wait
MAX_EVENTS = 4096
BATCH_BYTES = 256 * 1024
LOG_BYTES = BATCH_BYTES  # of one log event
REPLACED = ("progress", "resource")  # kinds of which the newest alone is kept
_EVENT_BYTES = 64  # what an event weighs beside its text


class Superseded(Exception):
    """A newer stream sends the events of this run now."""


class EventBuffer:
    """The events of one run, in one event loop, for one reader at a time.

    Log events grow until they are first read: a job that prints much makes few of them, and a line
    that is printed alone is there at once. Of progress and of resources only the newest is kept.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES, max_events: int = MAX_EVENTS) -> None:
        self._max_bytes = max_bytes
        self._max_events = max_events
        self._entries: list[_Entry] = []
        self._bytes = 0
        self._last_seq = 0
        self._acknowledged = 0
        self._ended = False
        self._abandoned = False
        self._reader = 0
        self._changed = asyncio.Event()

    @property
    def last_seq(self) -> int:
        """The number of the newest event."""
        return self._last_seq

    @property
    def finished(self) -> bool:
        """Whether the run has ended and every event of it was acknowledged."""
        return self._ended and not self._entries

    async def log(self, lines: bytes) -> None:
        """Adds whole lines; waits first while too much is unacknowledged."""
        if not lines:
            return
        await self._room()
        newest = self._entries[-1] if self._entries else None
        if newest and newest.takes(lines):
            newest.append(lines)
            self._bytes += len(lines)
            self._notify()
        else:
            self._add(_Entry(self._next_seq(), pb.Event(time=_now(), log=pb.LogEvent()), [lines]))

    async def result(self, event: pb.ResultEvent) -> None:
        """Adds a result set; waits first while too much is unacknowledged."""
        await self._room()
        self._add(_Entry(self._next_seq(), pb.Event(time=_now(), result=event)))

    def progress(self, event: pb.ProgressEvent) -> None:
        """Adds progress in place of the one before."""
        self._replace("progress", pb.Event(time=_now(), progress=event))

    def resource(self, event: pb.ResourceEvent) -> None:
        """Adds a measurement in place of the one before."""
        self._replace("resource", pb.Event(time=_now(), resource=event))

    def end(self, event: pb.EndEvent) -> None:
        """Adds the last event."""
        self._ended = True
        self._add(_Entry(self._next_seq(), pb.Event(time=_now(), end=event)))

    def acknowledge(self, seq: int) -> None:
        """Forgets the events up to a number."""
        count = bisect.bisect_right(self._entries, seq, key=attrgetter("seq"))
        self._bytes -= sum(entry.bytes for entry in self._entries[:count])
        del self._entries[:count]
        self._acknowledged = max(self._acknowledged, seq)
        self._notify()

    def abandon(self) -> None:
        """Lets nothing wait for room any more: nobody will read this."""
        self._abandoned = True
        self._notify()

    def take_over(self) -> int:
        """Makes the caller the only reader; the number names it in `after`."""
        self._reader += 1
        self._notify()
        return self._reader

    async def after(self, seq: int, reader: int) -> list[pb.Event]:
        """The next batch of events with greater numbers, as soon as there is one.

        Returns:
            No event when the run has ended and none is to come.

        Raises:
            Superseded: another reader took over.
        """
        while True:
            if reader != self._reader:
                raise Superseded
            start = bisect.bisect_right(self._entries, seq, key=attrgetter("seq"))
            if start < len(self._entries) or self._ended:
                return self._batch(start)
            await self._changed.wait()

    async def wait_acknowledged(self, seq: int) -> None:
        """Waits until the events up to a number are acknowledged."""
        while self._acknowledged < seq:
            await self._changed.wait()

    async def wait_finished(self, reader: int) -> None:
        """Waits until every event is acknowledged and the run has ended.

        Raises:
            Superseded: another reader took over.
        """
        while not self.finished:
            if reader != self._reader:
                raise Superseded
            await self._changed.wait()

    def _batch(self, start: int) -> list[pb.Event]:
        events: list[pb.Event] = []
        room = BATCH_BYTES
        for entry in self._entries[start:]:
            room -= entry.bytes
            if events and room < 0:
                break
            events.append(entry.seal())
        return events

    async def _room(self) -> None:
        while not self._abandoned and (
            self._bytes >= self._max_bytes or len(self._entries) >= self._max_events
        ):
            await self._changed.wait()

    def _replace(self, kind: str, event: pb.Event) -> None:
        for index, entry in enumerate(self._entries):
            if entry.event.WhichOneof("kind") == kind:
                self._bytes -= entry.bytes
                del self._entries[index]
                break
        self._add(_Entry(self._next_seq(), event))

    def _add(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._bytes += entry.bytes
        self._notify()

    def _next_seq(self) -> int:
        self._last_seq += 1
        return self._last_seq

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class _Entry:
    """One event; the text of a log event is joined when it is first read."""

    __slots__ = ("_parts", "bytes", "event", "seq")

    def __init__(self, seq: int, event: pb.Event, parts: list[bytes] | None = None) -> None:
        self.seq = seq
        self.event = event
        event.seq = seq
        self._parts = parts
        self.bytes = _EVENT_BYTES + (sum(map(len, parts)) if parts else event.ByteSize())

    def takes(self, lines: bytes) -> bool:
        return self._parts is not None and self.bytes + len(lines) <= LOG_BYTES

    def append(self, lines: bytes) -> None:
        assert self._parts is not None
        self._parts.append(lines)
        self.bytes += len(lines)

    def seal(self) -> pb.Event:
        if self._parts is not None:
            text = b"".join(self._parts)
            self._parts = None
            self.event.log.text = text.decode()
            self.event.log.line_count = text.count(b"\n")
        return self.event


def _now() -> timestamp_pb2.Timestamp:
    time = timestamp_pb2.Timestamp()
    time.GetCurrentTime()
    return time
