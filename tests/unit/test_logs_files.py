"""The text and the journal of one log: what counts, what is cut, what is read."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.logs.files import (
    JOURNAL,
    TEXT,
    LogSlice,
    LogWriter,
    after_newline,
    last_record,
    read_end,
    read_on,
    read_slice,
    renew,
)
from entrance_server.logs.journal import EMPTY, Record
from tests.unit.specs import largest_file

RECORD = 32  # bytes

LINE = st.binary(max_size=12).map(lambda data: data.replace(b"\n", b".") + b"\n")
APPENDS = st.lists(st.lists(LINE, max_size=5).map(tuple), max_size=8)


def write(directory: Path, *appends: bytes) -> None:
    writer = LogWriter.open(directory)
    for text in appends:
        writer.append(text, text.count(b"\n"), mark=None)
    writer.close()


def part_of(directory: Path, from_line: int, max_lines: int, max_bytes: int) -> LogSlice:
    return read_slice(directory, from_line, max_lines, max_bytes) or LogSlice(from_line, 0, b"")


def end_of(directory: Path) -> Record:
    return last_record(directory) or EMPTY


def everything(directory: Path) -> bytes:
    return part_of(directory, 1, 2**62, 2**30).text


@given(
    APPENDS,
    st.integers(1, 45),
    st.integers(0, 50),
    st.integers(0, 200),
)
def test_any_part_is_read_as_it_was_written(
    appends: list[tuple[bytes, ...]], from_line: int, max_lines: int, max_bytes: int
) -> None:
    lines = [line for append in appends for line in append]
    with TemporaryDirectory() as name:
        write(Path(name), *(b"".join(append) for append in appends))
        part = part_of(Path(name), from_line, max_lines, max_bytes)
    wanted = lines[from_line - 1 :][:max_lines]
    while len(wanted) > 1 and sum(map(len, wanted)) > max_bytes:
        wanted.pop()
    assert part == LogSlice(from_line, len(wanted), b"".join(wanted))


@given(APPENDS, st.integers(0, 200))
def test_who_reads_on_gets_every_line_within_the_limit_and_no_more_than_a_line_beyond_it(
    appends: list[tuple[bytes, ...]], max_bytes: int
) -> None:
    lines = [line for append in appends for line in append]
    read = list[bytes]()
    with TemporaryDirectory() as name:
        write(Path(name), *(b"".join(append) for append in appends))
        while part := read_on(Path(name), len(read) + 1, max_bytes):
            if not part.line_count:
                break
            text = lines[len(read) :][: part.line_count]
            assert part == LogSlice(len(read) + 1, len(text), b"".join(text))
            assert len(part.text) <= max_bytes or part.line_count == 1
            read += text
    assert read == lines


def test_who_reads_on_from_within_an_append_gets_its_rest(tmp_path: Path) -> None:
    write(tmp_path, b"a\nb\nc\n", b"d\n", b"e\nf\n")
    assert read_on(tmp_path, 2, 7) == LogSlice(2, 3, b"b\nc\nd\n")


@given(st.binary(max_size=60).map(lambda data: data.replace(b"a", b"\n")), st.integers(1, 10))
def test_a_newline_is_found_by_its_number(text: bytes, number: int) -> None:
    ends = [offset + 1 for offset, byte in enumerate(text) if byte == ord("\n")]
    expected = ends[number - 1] if number <= len(ends) else len(text)
    assert after_newline(text, number) == expected


def test_a_line_is_found_in_an_append_of_many_megabytes(tmp_path: Path) -> None:
    lines = [b"%07d\n" % number for number in range(1, 200_001)]
    write(tmp_path, b"first\n", b"".join(lines), b"last\n")
    part = part_of(tmp_path, 150_000, 2, 100)
    assert part.text == b"0149999\n0150000\n"


def test_a_line_longer_than_the_limit_is_read_whole(tmp_path: Path) -> None:
    write(tmp_path, b"x" * 1000 + b"\n" + b"y\n")
    assert part_of(tmp_path, 1, 9, 10).text == b"x" * 1000 + b"\n"


def test_a_log_goes_on_after_it_was_closed(tmp_path: Path) -> None:
    writer = LogWriter.open(tmp_path)
    writer.append(b"a\n", 1, mark=(1, 7))
    writer.close()
    writer = LogWriter.open(tmp_path)
    assert writer.last == Record(2, 1, 1, 7)
    writer.append(b"b\nc\n", 2, mark=None)
    writer.close()
    assert last_record(tmp_path) == Record(6, 3, 1, 7)
    assert everything(tmp_path) == b"a\nb\nc\n"


def test_there_is_no_log_without_both_files(tmp_path: Path) -> None:
    assert last_record(tmp_path / "none") is None
    (tmp_path / TEXT).write_bytes(b"never shown\n")
    assert read_slice(tmp_path, 1, 1, 1) is None
    assert read_end(tmp_path, max_bytes=1) is None


def test_a_log_in_which_nothing_is_counts_as_none(tmp_path: Path) -> None:
    write(tmp_path)
    assert last_record(tmp_path) is None
    assert read_slice(tmp_path, 1, 1, 1) is None
    assert read_end(tmp_path, max_bytes=1) is None


def test_text_without_a_record_is_not_shown_and_is_cut(tmp_path: Path) -> None:
    write(tmp_path, b"shown\n")
    with (tmp_path / TEXT).open("ab") as text:
        text.write(b"torn")
    assert everything(tmp_path) == b"shown\n"
    write(tmp_path, b"next\n")
    assert (tmp_path / TEXT).read_bytes() == b"shown\nnext\n"


@pytest.mark.parametrize("rest", range(1, RECORD))
def test_a_torn_record_does_not_count_and_is_cut(tmp_path: Path, rest: int) -> None:
    write(tmp_path, b"shown\n", b"torn\n")
    os.truncate(tmp_path / JOURNAL, RECORD + rest)
    assert everything(tmp_path) == b"shown\n"
    write(tmp_path, b"next\n")
    assert everything(tmp_path) == b"shown\nnext\n"
    assert (tmp_path / JOURNAL).stat().st_size == 2 * RECORD


@given(st.lists(LINE, min_size=1, max_size=6), st.data())
def test_records_whose_text_a_power_cut_took_do_not_count(
    lines: list[bytes], data: st.DataObject
) -> None:
    size = data.draw(st.integers(0, sum(map(len, lines))))
    kept = b""
    for line in lines:
        if len(kept + line) > size:
            break
        kept += line
    with TemporaryDirectory() as name:
        directory = Path(name)
        write(directory, *lines)
        os.truncate(directory / TEXT, size)
        assert everything(directory) == kept
        assert end_of(directory).end_offset == len(kept)
        write(directory, b"next\n")
        assert everything(directory) == kept + b"next\n"


def test_an_append_without_room_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    writer = LogWriter.open(tmp_path)
    writer.append(b"a\n", 1, mark=(1, 1))
    before = writer.last
    with largest_file(1000), pytest.raises(OSError, match="too large"):
        writer.append(b"x" * 5000 + b"\n", 1, mark=(1, 2))
    assert writer.last == before
    assert (tmp_path / TEXT).read_bytes() == b"a\n"
    writer.append(b"b\n", 1, mark=(1, 2))
    writer.close()
    assert everything(tmp_path) == b"a\nb\n"


def test_an_append_whose_record_finds_no_room_is_undone(tmp_path: Path) -> None:
    writer = LogWriter.open(tmp_path)
    for _ in range(4):
        writer.append(b"a\n", 1, mark=None)
    with largest_file(4 * RECORD + 10), pytest.raises(OSError, match="too large"):
        writer.append(b"b\n", 1, mark=None)
    writer.close()
    assert (tmp_path / TEXT).read_bytes() == b"a\n" * 4
    assert (tmp_path / JOURNAL).stat().st_size == 4 * RECORD


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    write(tmp_path, b"a\n")
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_log_that_can_not_be_copied_stays_as_it_is_and_takes_no_more_room(
    tmp_path: Path,
) -> None:
    write(tmp_path, b"x" * 99 + b"\n")
    with largest_file(50), pytest.raises(OSError, match="too large"):
        renew(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [TEXT, JOURNAL]
    renew(tmp_path)
    assert read_end(tmp_path, 1000) == LogSlice(1, 1, b"x" * 99 + b"\n")
