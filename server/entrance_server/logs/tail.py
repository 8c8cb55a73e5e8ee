"""The last appends of a log, in memory."""

from __future__ import annotations

from collections import deque

from entrance_server.logs.files import LogSlice

MAX_APPENDS = 16
MAX_BYTES = 256 * 1024  # of text; a single larger append still is kept


class Tail:
    """What was appended to a log last, so that those who keep up need not read its files."""

    def __init__(self) -> None:
        self._appends = deque[LogSlice](maxlen=MAX_APPENDS)

    def add(self, appended: LogSlice) -> None:
        """Adds an append; older ones go where it does not follow them, or for want of room."""
        if self._appends and _end(self._appends[-1]) != appended.from_line:
            self._appends.clear()
        self._appends.append(appended)
        while len(self._appends) > 1 and sum(len(one.text) for one in self._appends) > MAX_BYTES:
            self._appends.popleft()

    def clear(self) -> None:
        """Forgets all."""
        self._appends.clear()

    @property
    def next_line(self) -> int | None:
        """The number that the next line will have; None where nothing is here that tells."""
        return _end(self._appends[-1]) if self._appends else None

    def since(self, line: int) -> LogSlice | None:
        """All from a line on, perhaps none; None where that must be read from the log."""
        if not self._appends:
            return None
        if line >= _end(self._appends[-1]):
            return LogSlice(line, 0, b"")
        found = list[LogSlice]()
        for appended in reversed(self._appends):
            found.append(appended)
            if appended.from_line <= line:
                break
        if found[-1].from_line != line:
            return None
        if len(found) == 1:
            return found[0]
        text = b"".join(one.text for one in reversed(found))
        return LogSlice(line, _end(found[0]) - line, text)


def _end(appended: LogSlice) -> int:
    return appended.from_line + appended.line_count
