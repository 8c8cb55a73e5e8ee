"""The level of log lines, read from their headers. A line ends at a newline and nowhere else."""

from __future__ import annotations

import enum
import heapq
import itertools
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TIME = rb"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{3})? (?:SYSTEM-)?"
_HEADER = re.compile(_TIME + rb"(ERROR|WARN|INFO) ")
_ALARMS = (b"ERROR ", b"WARN ")
_TIME_AT_END = re.compile(_TIME + rb"\Z")
_TIME_BYTES = 31  # at most


class LogLevel(enum.IntEnum):
    """How serious a line is. A line without a header is INFO."""

    INFO = 1
    WARN = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Successive lines of one level; `text` is UTF-8, each line ended by a newline."""

    from_line: int
    line_count: int
    level: LogLevel
    text: bytes


def classify(line: bytes) -> LogLevel:
    """The level of a line: that of the first header in it, wherever it stands."""
    header = _HEADER.search(line)
    return LogLevel.INFO if header is None else LogLevel[header[1].decode()]


def chunk(text: bytes, from_line: int, line_count: int) -> list[LogChunk]:
    """Whole lines, grouped so that successive ones of one level stay together."""
    chunks: list[LogChunk] = []
    line, end_line = from_line, from_line + line_count
    for level, start, end in _runs(text):
        part = text[start:end]
        # the last lines, which are most often all, need no count of their own
        count = end_line - line if end == len(text) else part.count(b"\n")
        chunks.append(LogChunk(line, count, level, part))
        line += count
    return chunks


def split_four(text: str) -> tuple[str, str, str, str]:
    """Whole lines as the documented four texts: ERROR, WARN, INFO and ALL.

    Lines are joined by newlines. Blank ones are in ALL alone.
    """
    lines: dict[LogLevel, list[bytes]] = {level: [] for level in LogLevel}
    data = text.encode()
    for level, start, end in _runs(data):
        for line in data[start:end].removesuffix(b"\n").split(b"\n"):
            if line.strip():
                lines[level].append(line)
    error, warn, info = (
        b"\n".join(lines[level]).decode()
        for level in (LogLevel.ERROR, LogLevel.WARN, LogLevel.INFO)
    )
    return error, warn, info, text.removesuffix("\n")


def _runs(text: bytes) -> Iterator[tuple[LogLevel, int, int]]:
    """Successive lines of one level, as level, start and end."""
    for level, group in itertools.groupby(_parts(text), key=operator.itemgetter(0)):
        parts = list(group)
        yield level, parts[0][1], parts[-1][2]


def _parts(text: bytes) -> Iterator[tuple[LogLevel, int, int]]:
    """Goes from warning to warning, not from line to line, since most lines are INFO."""
    done = 0
    for word in heapq.merge(*(_places(text, alarm) for alarm in _ALARMS)):
        if word < done or not _TIME_AT_END.search(text, max(word - _TIME_BYTES, done), word):
            continue  # a further header in the same line, or no header
        start = text.rfind(b"\n", done, word) + 1 or done
        end = text.find(b"\n", word) + 1 or len(text)
        if done < start:
            yield LogLevel.INFO, done, start
        yield classify(text[start:end]), start, end
        done = end
    if done < len(text):
        yield LogLevel.INFO, done, len(text)


def _places(text: bytes, word: bytes) -> Iterator[int]:
    place = text.find(word)
    while place >= 0:
        yield place
        place = text.find(word, place + 1)
