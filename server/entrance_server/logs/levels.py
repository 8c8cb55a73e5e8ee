"""The level of a log line, read from its header."""

from __future__ import annotations

import enum
from dataclasses import dataclass


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
