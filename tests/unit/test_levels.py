"""Levels of log lines, read from their headers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.logs import levels
from entrance_server.logs.levels import LogChunk, LogLevel

TIME = "2026-01-02 03:04:05"
ERROR, WARN, INFO = f"{TIME}.678 ERROR ", f"{TIME} WARN ", f"{TIME} INFO "

LINES = st.one_of(
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20),
    st.sampled_from([ERROR, WARN, INFO, "", " ", "ERROR ", "\r", "\u2028", "\x0b", f"a {ERROR}b"]),
    st.sampled_from([f"WARN {ERROR}", f"{INFO}{WARN}", f"{TIME} SYSTEM-ERROR {WARN}"]),
)


def text_of(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (f"{TIME} ERROR boom", LogLevel.ERROR),
        (f"{TIME}.678 ERROR boom", LogLevel.ERROR),
        (f"{TIME} WARN hm", LogLevel.WARN),
        (f"{TIME} INFO fine", LogLevel.INFO),
        (f"{TIME} SYSTEM-ERROR boom", LogLevel.ERROR),
        (f"{TIME}.678 SYSTEM-WARN hm", LogLevel.WARN),
        (f"{TIME} SYSTEM-INFO fine", LogLevel.INFO),
        (f"[driver] {TIME} ERROR boom", LogLevel.ERROR),
        (f"{TIME} INFO seen: {TIME} ERROR boom", LogLevel.INFO),
        ("", LogLevel.INFO),
        ("ERROR boom", LogLevel.INFO),
        (f"{TIME} ERROR", LogLevel.INFO),
        (f"{TIME} ERRORS ", LogLevel.INFO),
        (f"{TIME},678 ERROR boom", LogLevel.INFO),
        (f"{TIME} error boom", LogLevel.INFO),
        (f"{TIME} OTHER-ERROR boom", LogLevel.INFO),
        ("2026-1-2 03:04:05 ERROR boom", LogLevel.INFO),
    ],
)
def test_a_line_has_the_level_of_its_first_header(line: str, level: LogLevel) -> None:
    assert levels.classify(line.encode()) is level


def test_successive_lines_of_one_level_are_one_chunk() -> None:
    lines = ["a", INFO + "b", ERROR + "c", ERROR + "d", "", WARN + "e"]
    assert levels.chunk(text_of(lines).encode(), 10, len(lines)) == [
        LogChunk(10, 2, LogLevel.INFO, text_of(lines[:2]).encode()),
        LogChunk(12, 2, LogLevel.ERROR, text_of(lines[2:4]).encode()),
        LogChunk(14, 1, LogLevel.INFO, b"\n"),
        LogChunk(15, 1, LogLevel.WARN, text_of(lines[5:]).encode()),
    ]


def test_no_line_makes_no_chunk() -> None:
    assert levels.chunk(b"", 1, 0) == []


@given(st.lists(LINES))
def test_chunks_say_of_every_line_what_its_header_says(lines: list[str]) -> None:
    chunks = levels.chunk(text_of(lines).encode(), 5, len(lines))
    assert b"".join(chunk.text for chunk in chunks) == text_of(lines).encode()
    said = []
    next_line = 5
    for chunk in chunks:
        assert chunk.from_line == next_line
        assert chunk.line_count == chunk.text.count(b"\n") > 0
        next_line += chunk.line_count
        said += [chunk.level] * chunk.line_count
    assert said == [levels.classify(line.encode()) for line in lines]
    assert all(a.level is not b.level for a, b in itertools.pairwise(chunks))


def test_the_four_texts_are_error_warn_info_and_all() -> None:
    lines = ["plain", ERROR + "e1", "", WARN + "w", INFO + "i", ERROR + "e2", "  "]
    assert levels.split_four(text_of(lines)) == (
        f"{ERROR}e1\n{ERROR}e2",
        f"{WARN}w",
        f"plain\n{INFO}i",
        "\n".join(lines),
    )


def test_nothing_splits_into_nothing() -> None:
    assert levels.split_four("") == ("", "", "", "")


@given(st.lists(LINES))
def test_a_line_ends_at_a_newline_and_nowhere_else(lines: list[str]) -> None:
    *by_level, everything = levels.split_four(text_of(lines))
    assert everything == "\n".join(lines)
    shown = [line for text in by_level if text for line in text.split("\n")]
    assert sorted(shown) == sorted(line for line in lines if line.encode().strip())
