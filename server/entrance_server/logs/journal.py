"""The journal of a log: one record for each append, which makes the append count."""

from __future__ import annotations

import bisect
import os
import struct
from collections.abc import Callable
from typing import NamedTuple

_RECORD = struct.Struct("<QQI4xQ")


class Record(NamedTuple):
    """The state of a log after an append: where its text ends, and what it holds by then."""

    end_offset: int  # bytes
    end_line: int  # the number of the last line
    attempt: int  # with `seq`: what of the runner's output is in the log
    seq: int

    @property
    def mark(self) -> tuple[int, int]:
        """The runner's mark that this append made durable."""
        return self.attempt, self.seq


EMPTY = Record(0, 0, 0, 0)


class Journal:
    """The records in an open file. Nothing of it is held in memory.

    Records only ever grow in offset and line, so that the file is the log's index too.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def count(self) -> int:
        """How many whole records there are; a torn one at the end does not count."""
        return os.fstat(self._descriptor).st_size // _RECORD.size

    def count_within(self, text_size: int) -> int:
        """How many records there are whose text is there: after a power cut some may be ahead."""
        count = self.count()
        if count == 0 or self[count - 1].end_offset <= text_size:
            return count
        return self._first_beyond(text_size, count)

    def first_with_line(self, line: int, count: int) -> int:
        """The index of the record whose append holds a line; `count` when none does."""
        return self._first(count, lambda record: record.end_line >= line)

    def last_within(self, offset: int, count: int) -> Record:
        """The last record whose text ends within an offset."""
        last = self.before(count)
        return last if last.end_offset <= offset else self.before(self._first_beyond(offset, count))

    def before(self, index: int) -> Record:
        """The record before an index: the state in which that append found the log."""
        return self[index - 1] if index else EMPTY

    def write(self, index: int, record: Record) -> None:
        """Writes the record with an index, the next one."""
        write_all(self._descriptor, _RECORD.pack(*record), index * _RECORD.size)

    def cut(self, count: int) -> None:
        """Forgets all but the first records, and a torn one."""
        if os.fstat(self._descriptor).st_size != count * _RECORD.size:
            os.ftruncate(self._descriptor, count * _RECORD.size)

    def __getitem__(self, index: int) -> Record:
        data = os.pread(self._descriptor, _RECORD.size, index * _RECORD.size)
        return Record(*_RECORD.unpack(data))

    def _first_beyond(self, offset: int, count: int) -> int:
        return self._first(count, lambda record: record.end_offset > offset)

    def _first(self, count: int, holds: Callable[[Record], bool]) -> int:
        return bisect.bisect_left(range(count), True, key=lambda index: holds(self[index]))


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Writes all of the data at an offset."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        offset += written
        rest = rest[written:]
