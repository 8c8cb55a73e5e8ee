"""Bytes to whole lines of valid UTF-8."""

import re

import pytest

from entrance_runner import lines
from entrance_runner.lines import MAX_LINE_BYTES, LineAssembler


def assembled(*pieces: bytes) -> list[str]:
    assembler = LineAssembler()
    data = b"".join([*map(assembler.feed, pieces), assembler.finish()])
    assert data.endswith(b"\n") or not data
    return data.decode().split("\n")[:-1]


def test_a_line_is_given_when_it_is_whole() -> None:
    assembler = LineAssembler()
    assert assembler.feed(b"one\ntw") == b"one\n"
    assert assembler.feed(b"o") == b""
    assert assembler.feed(b"\n\nthree") == b"two\n\n"
    assert assembler.finish() == b"three\n"


def test_nothing_printed_gives_no_line() -> None:
    assert assembled(b"") == []


def test_a_last_line_gets_the_newline_that_it_lacks() -> None:
    assert assembled(b"a\nb") == ["a", "b"]


def test_only_a_newline_ends_a_line() -> None:
    text = "a\rb\r\x0b\x0c\x1c\x85\u2028c"
    assert assembled(text.encode() + b"\r\nd\n") == [text + "\r", "d"]


def test_control_characters_and_ansi_codes_stay() -> None:
    assert assembled(b"\x1b[31mred\x1b[0m\x00\x07\n") == ["\x1b[31mred\x1b[0m\x00\x07"]


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    assert assembled(b"a\xffb\xc3(\xed\xa0\x80\n") == ["a\ufffdb\ufffd(\ufffd\ufffd\ufffd"]


def test_a_character_may_arrive_in_pieces() -> None:
    data = "grüße €😀\n".encode()
    assert assembled(*[bytes([byte]) for byte in data]) == ["grüße €😀"]


def test_a_character_that_never_ends_is_replaced_at_the_end() -> None:
    assert assembled(b"a\xf0\x9f\x98") == ["a\ufffd"]


@pytest.mark.parametrize("size", [MAX_LINE_BYTES - 2, MAX_LINE_BYTES - 1])
def test_a_line_of_at_most_the_limit_stays_whole(size: int) -> None:
    assert assembled(b"x" * size + b"\n" + b"y\n") == ["x" * size, "y"]
    assert assembled(b"x" * size) == ["x" * size]


def test_a_longer_line_becomes_several() -> None:
    result = assembled(b"a\n" + b"x" * 1024 * 1024 + b"\nb\n")
    assert (result[0], result[-1]) == ("a", "b")
    assert "".join(result[1:-1]) == "x" * 1024 * 1024
    assert all(len(line) < MAX_LINE_BYTES for line in result)


def test_a_long_line_is_broken_between_two_characters() -> None:
    text = "a" + "€" * 50_000
    result = assembled(text.encode())
    assert "".join(result) == text
    assert all(len(line.encode()) < MAX_LINE_BYTES for line in result)


def test_how_the_bytes_arrive_makes_no_difference_to_lines_within_the_limit() -> None:
    data = b"".join(b"%d %s\n" % (i, b"\xff\xe2\x82\xac" * (i % 50)) for i in range(2000))
    assert assembled(data) == assembled(*[data[i : i + 777] for i in range(0, len(data), 777)])


def test_a_message_has_a_header_with_time_and_level() -> None:
    line = lines.message("WARN", "take care")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} WARN take care\n", line)
