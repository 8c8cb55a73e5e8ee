"""Lines that the service itself writes."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from entrance_server.logs import format_line, levels
from entrance_server.logs.levels import LogLevel
from entrance_server.logs.lines import MAX_LINE

NOW = datetime(2026, 1, 2, 3, 4, 5, 6999)


def test_a_line_has_time_level_and_text() -> None:
    assert format_line("INFO", "accepted", NOW) == (b"2026-01-02 03:04:05.006 INFO accepted\n", 1)


def test_further_lines_of_the_text_get_a_header_of_their_own() -> None:
    assert format_line("ERROR", "a\n\nb", NOW) == (
        b"2026-01-02 03:04:05.006 ERROR a\n"
        b"2026-01-02 03:04:05.006 ERROR \n"
        b"2026-01-02 03:04:05.006 ERROR b\n",
        3,
    )


def test_the_level_is_read_back() -> None:
    for level in ("INFO", "WARN", "ERROR"):
        text, _ = format_line(level, "", NOW)
        assert levels.classify(text) is LogLevel[level]


@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1))
def test_a_line_that_is_too_long_is_broken_between_characters(text: str) -> None:
    text *= 2 * MAX_LINE // len(text.encode())
    data, count = format_line("INFO", text, NOW)
    lines = data.decode().removesuffix("\n").split("\n")
    assert len(lines) == count > 1
    assert all(len(line.encode()) < MAX_LINE for line in lines)
    assert "".join(line.split(" INFO ", 1)[1] for line in lines) == text


def test_what_utf_8_has_no_bytes_for_is_replaced() -> None:
    assert format_line("WARN", "a\ud800b", NOW)[0].endswith(b"WARN a?b\n")
