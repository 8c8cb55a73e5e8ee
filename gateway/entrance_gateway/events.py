"""Server-sent events: what each message of a followed job becomes, and where a reader goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from entrance.relays import FINAL
from entrance.v1 import entrance_pb2 as pb
from entrance_gateway import render
from entrance_gateway.envelope import encode
from entrance_gateway.errors import wrong_field
from entrance_gateway.names import enum_name

RESUME_HEADER = "Last-Event-ID"
END_ID = "end"  # the id of a stream's last event: who sends it has everything
COMMENT = b":\n\n"
RETRY = b"retry: 2000\n\n"  # milliseconds until a browser comes back

# JSON may hold these as they are, and some readers of lines would break there.
_ESCAPED = {ord(char): f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"}
_LINE, _LAST_LINE = re.compile(r"[0-9]{1,19}"), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Without a name it is not shown to the reader's code and only moves the id."""

    name: str | None
    data: Mapping[str, Any] | None = None
    id: str | None = None

    def encode(self) -> bytes:
        """The event as the stream carries it."""
        lines = [] if self.id is None else [f"id: {self.id}"]
        if self.name is not None:
            lines += [f"event: {self.name}", f"data: {encode(self.data).translate(_ESCAPED)}"]
        return ("\n".join(lines) + "\n\n").encode()


def events_of(message: Message) -> Iterator[Event]:
    """The events of one message; the last message of a job gives `end` too."""
    return _FEEDS.get(type(message), _any_events)(message)


def go_on(request: Message, last_id: str) -> None:
    """Makes a request go on after the event with an id; a stream of states just begins anew.

    Raises:
        Refusal: the id is not one of this stream's.
    """
    if not isinstance(request, pb.StreamLogRequest) or not last_id:
        return
    if not _LINE.fullmatch(last_id) or int(last_id) > _LAST_LINE:
        raise wrong_field(RESUME_HEADER, "must be the id of an event of this stream")
    request.from_line = int(last_id)


def _log_events(message: pb.StreamLogResponse) -> Iterator[Event]:
    """Each chunk is an event; its id is the line after it, where a broken-off reader goes on."""
    for number, chunk in enumerate(message.chunks, 1):
        is_last = number == len(message.chunks)
        next_line = message.next_line if is_last else chunk.from_line + chunk.line_count
        yield Event("log", _lines(chunk), str(next_line))
    if not message.chunks and message.next_line:
        yield Event(None, id=str(message.next_line))
    yield from _end(message.status)


def _lines(chunk: pb.LogChunk) -> dict[str, Any]:
    return {
        "fromLine": chunk.from_line,
        "level": enum_name(pb.LogLevel.DESCRIPTOR, chunk.level),
        "lines": chunk.text.removesuffix("\n").split("\n"),
    }


def _progress_events(message: pb.StreamProgressResponse) -> Iterator[Event]:
    yield Event("progress", render.data_of(message, message))
    yield from _end(message.status)


def _job_events(message: pb.WatchJobResponse) -> Iterator[Event]:
    yield Event("job", render.fields_of(message.job))
    yield from _end(message.job.status)


def _any_events(message: Message) -> Iterator[Event]:
    yield Event("message", render.fields_of(message))


def _end(status: pb.JobStatus.ValueType) -> Iterator[Event]:
    if status in FINAL:
        name = enum_name(pb.JobStatus.DESCRIPTOR, status)
        yield Event("end", {"status": name}, END_ID)


_FEEDS: Mapping[type[Message], Callable[[Any], Iterator[Event]]] = {
    pb.StreamLogResponse: _log_events,
    pb.StreamProgressResponse: _progress_events,
    pb.WatchJobResponse: _job_events,
}
