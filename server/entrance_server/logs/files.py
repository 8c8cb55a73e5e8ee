"""The two files of one log: its text and its journal. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from entrance_server.logs.journal import EMPTY, Journal, Record, write_all

TEXT = "log"
JOURNAL = "log.idx"
NAMES = (TEXT, JOURNAL)
_PIECE = 256 * 1024  # bytes of text that are searched at a time


@dataclass(frozen=True, slots=True)
class LogSlice:
    """Successive lines; `text` is UTF-8, each line ended by a newline."""

    from_line: int
    line_count: int
    text: bytes


class LogWriter:
    """A log that is open for writing. There is one for a log at a time.

    An append writes the text, then its record. What has no record was never shown, and is cut when
    the log is opened.
    """

    def __init__(self, text: int, journal: int) -> None:
        self._text = text
        self._journal_file = journal
        self._journal = Journal(journal)
        self._count = 0
        self.last = EMPTY
        self._cut_unrecorded()

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Opens the log of a job, and makes it where there is none."""
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            text = _open(directory / TEXT, os.O_RDWR | os.O_CREAT)
            opened.callback(os.close, text)
            journal = _open(directory / JOURNAL, os.O_RDWR | os.O_CREAT)
            opened.callback(os.close, journal)
            writer = cls(text, journal)
            opened.pop_all()
        return writer

    def append(self, text: bytes, line_count: int, *, mark: tuple[int, int] | None) -> None:
        """Adds whole lines; None keeps the mark. On an error the log is as it was.

        Raises:
            OSError: the text could not be written, for want of space for instance.
        """
        last = self.last
        attempt, seq = last.mark if mark is None else mark
        record = Record(last.end_offset + len(text), last.end_line + line_count, attempt, seq)
        try:
            write_all(self._text, text, last.end_offset)
            self._journal.write(self._count, record)
        except OSError:
            self._cut_unrecorded()
            raise
        self._count += 1
        self.last = record

    def close(self) -> None:
        """Makes everything safe against a power cut, and closes the files."""
        try:
            os.fsync(self._text)
            os.fsync(self._journal_file)
        finally:
            self.put_aside()

    def put_aside(self) -> None:
        """Closes the files alone; the close of a later writer makes all safe."""
        os.close(self._text)
        os.close(self._journal_file)

    def _cut_unrecorded(self) -> None:
        size = os.fstat(self._text).st_size
        self._count = self._journal.count_within(size)
        self._journal.cut(self._count)
        self.last = self._journal.before(self._count)
        if size != self.last.end_offset:  # else it would be a write all the same
            os.ftruncate(self._text, self.last.end_offset)


def last_record(directory: Path) -> Record | None:
    """How far the log in a directory has come; None where there is no log, here and below."""
    with _reading(directory) as log:
        return None if log is None else log.last


def read_slice(directory: Path, from_line: int, max_lines: int, max_bytes: int) -> LogSlice | None:
    """Lines of the log in a directory; none past the end, else one at least."""
    with _reading(directory) as log:
        if log is None:
            return None
        text = log.lines(from_line, max_lines, max_bytes)
    return LogSlice(from_line, text.count(b"\n"), text)


def read_on(directory: Path, from_line: int, max_bytes: int) -> LogSlice | None:
    """Lines of the log in a directory, up to the end of an append where the limit allows it.

    What the journal has counted is not counted again, and the next part begins with an append.
    """
    with _reading(directory) as log:
        return None if log is None else log.appends(from_line, max_bytes)


def read_end(directory: Path, max_bytes: int) -> LogSlice | None:
    """The last whole lines of the log in a directory, as many as the limit allows."""
    with _reading(directory) as log:
        if log is None:
            return None
        text, last = log.end(max_bytes), log.last
    count = text.count(b"\n")
    return LogSlice(last.end_line - count + 1, count, text)


def renew(directory: Path) -> None:
    """Puts copies in place of the files of a log, so that who has it open has it no more."""
    for name in (TEXT, JOURNAL):  # the text first: a journal tells of no text that is not there
        path, copy = directory / name, directory / f".{name}.new"
        try:
            shutil.copy2(path, copy)
            copy.replace(path)
        except FileNotFoundError:
            continue
        except OSError:  # half a copy would take the room that is wanting
            copy.unlink(missing_ok=True)
            raise


def remove(directory: Path) -> None:
    """Removes the log in a directory, and the directory when nothing else is in it."""
    for name in (JOURNAL, TEXT):  # the journal first: without it there is no log
        (directory / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()


class _LogReader:
    """A log that is open for reading, as it was when it was opened."""

    def __init__(self, text: int, journal: int) -> None:
        self._text = text
        self._journal = Journal(journal)
        self._count = self._journal.count_within(os.fstat(text).st_size)
        self.last = self._journal.before(self._count)

    def appends(self, from_line: int, max_bytes: int) -> LogSlice:
        """Lines from one on, to the end of the last append within the limit, else to the limit."""
        if from_line > self.last.end_line:
            return LogSlice(from_line, 0, b"")
        start = self._offset_of(from_line)
        until = self._journal.last_within(start + max_bytes, self._count)
        if until.end_line >= from_line:
            text = os.pread(self._text, until.end_offset - start, start)
            return LogSlice(from_line, until.end_line - from_line + 1, text)
        text = self._whole_lines(start, self.last.end_offset, max_bytes)
        return LogSlice(from_line, text.count(b"\n"), text)

    def lines(self, from_line: int, max_lines: int, max_bytes: int) -> bytes:
        """Lines from one on, as many as both limits allow."""
        if max_lines < 1 or from_line > self.last.end_line:
            return b""
        last_line = min(from_line + max_lines - 1, self.last.end_line)
        end = self._journal[self._journal.first_with_line(last_line, self._count)].end_offset
        start = self._offset_of(from_line)
        text = self._whole_lines(start, end, max_bytes)
        return text[: after_newline(text, max_lines)]

    def end(self, max_bytes: int) -> bytes:
        """The last whole lines, as many as the limit allows."""
        # from one byte before, since a newline there tells that the first line is whole
        start = max(self.last.end_offset - max_bytes - 1, -1)
        text = os.pread(self._text, self.last.end_offset - max(start, 0), max(start, 0))
        return text if start < 0 else text[text.find(b"\n") + 1 :]

    def _offset_of(self, line: int) -> int:
        """Where a line begins: only the append that wrote it is searched."""
        before = self._journal.before(self._journal.first_with_line(line, self._count))
        offset, skip = before.end_offset, line - before.end_line - 1
        while skip and (piece := os.pread(self._text, _PIECE, offset)):
            newlines = piece.count(b"\n")
            if newlines >= skip:
                return offset + after_newline(piece, skip)
            skip -= newlines
            offset += len(piece)
        return offset

    def _whole_lines(self, start: int, end: int, max_bytes: int) -> bytes:
        size = min(max(max_bytes, 1), end - start)
        text = os.pread(self._text, size, start)
        whole = text.rfind(b"\n") + 1
        while not whole and size < end - start:  # the first line alone is longer
            size = min(2 * size, end - start)
            text = os.pread(self._text, size, start)
            whole = text.find(b"\n") + 1
        return text[:whole]


def after_newline(text: bytes, number: int) -> int:
    """The offset after a newline, counted from 1; the text's length when it has fewer.

    Halves the text rather than walking over lines, so that the search itself is the interpreter's.
    """
    start, end = 0, len(text)
    if text.count(b"\n") < number:
        return end
    while end - start > 1:
        middle = (start + end) // 2
        newlines = text.count(b"\n", start, middle)
        if newlines >= number:
            end = middle
        else:
            number -= newlines
            start = middle
    return end


@contextlib.contextmanager
def _reading(directory: Path) -> Iterator[_LogReader | None]:
    """Opens a log to read; None where there is none, or nothing in it."""
    with contextlib.ExitStack() as opened:
        descriptors = []
        for name in NAMES:
            try:
                descriptor = _open(directory / name, os.O_RDONLY)
            except FileNotFoundError:
                yield None
                return
            opened.callback(os.close, descriptor)
            descriptors.append(descriptor)
        reader = _LogReader(*descriptors)
        yield reader if reader.last != EMPTY else None


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
