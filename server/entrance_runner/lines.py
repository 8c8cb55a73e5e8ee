"""From the bytes that a job prints to whole lines of valid UTF-8, without work per line."""

from __future__ import annotations

import codecs
from datetime import UTC, datetime

MAX_LINE_BYTES = 64 * 1024  # the ending newline included
_ROOM = MAX_LINE_BYTES - 1


class LineAssembler:
    r"""Takes bytes as they come and gives whole lines, each ended by a newline.

    Bytes that are not UTF-8 become U+FFFD; a line that is too long becomes several, broken between
    two characters. Only "\n" ends a line. What is kept is at most one line.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The lines that are whole now; perhaps none."""
        return self._take(self._decoder.decode(data).encode())

    def finish(self) -> bytes:
        """What is left, as lines; the last one gets the newline that it lacks."""
        lines = self._take(self._decoder.decode(b"", final=True).encode())
        rest, self._rest = self._rest, b""
        self._decoder.reset()
        return lines + rest + b"\n" if rest else lines

    def _take(self, data: bytes) -> bytes:
        data = self._rest + data
        lines: list[bytes] = []
        start = 0
        while len(data) - start > _ROOM:  # one step for each 64 KiB, not for each line
            end = data.rfind(b"\n", start, start + MAX_LINE_BYTES) + 1
            if end:
                lines.append(data[start:end])
            else:
                end = _character_start(data, start + _ROOM)
                lines += (data[start:end], b"\n")
            start = end
        end = data.rfind(b"\n", start) + 1
        if end:
            lines.append(data[start:end])
            start = end
        self._rest = data[start:]
        return b"".join(lines)


def _character_start(data: bytes, index: int) -> int:
    while data[index] & 0xC0 == 0x80:
        index -= 1
    return index


def message(level: str, text: str) -> str:
    """A line of the service's own for a job's log, with a header that tells its time and level."""
    time = datetime.now(UTC).isoformat(sep=" ", timespec="milliseconds")[:23]
    return f"{time} {level} {text}\n"
