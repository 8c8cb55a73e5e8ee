"""Lines that the service itself writes into a log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

MAX_LINE = 64 * 1024  # bytes, the newline included


def format_line(
    level: Literal["INFO", "WARN", "ERROR"], text: str, now: datetime
) -> tuple[bytes, int]:
    """Text with the header `YYYY-MM-DD HH:MM:SS.mmm LEVEL `, and how many lines that makes.

    Each line of the text gets a header; one that is too long for a log is broken into several.
    """
    header = f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d} {level} ".encode()
    room = MAX_LINE - len(header) - 1
    lines = [
        header + piece + b"\n"
        for line in text.split("\n")
        for piece in _pieces(line.encode(errors="replace"), room)
    ]
    return b"".join(lines), len(lines)


def _pieces(line: bytes, room: int) -> Iterator[bytes]:
    """Parts of a line, none larger than the room; no character is cut."""
    while len(line) > room:
        end = room
        while line[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        yield line[:end]
        line = line[end:]
    yield line
