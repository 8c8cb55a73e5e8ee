"""The messages that a followed log comes in."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.status import JobStatus
from entrance_server.logs.levels import LogChunk, LogLevel
from entrance_server.rpc import enums, log_stream
from entrance_server.service.views import LogBatch
from tests.unit.rpc_jobs import JOB

LIMIT = 20

lines = st.lists(st.tuples(st.sampled_from(LogLevel), st.text("aé€", max_size=12)), max_size=30)


def chunk(from_line: int, level: LogLevel, *texts: str) -> LogChunk:
    text = "".join(f"{text}\n" for text in texts)
    return LogChunk(from_line, len(texts), level, text.encode())


def numbered(messages: list[pb.StreamLogResponse]) -> list[tuple[int, int, str]]:
    """Number, level and text of every line."""
    return [
        (chunk.from_line + n, chunk.level, line)
        for message in messages
        for chunk in message.chunks
        for n, line in enumerate(chunk.text.removesuffix("\n").split("\n"))
    ]


@given(lines, st.integers(1, 1_000), st.integers(1, 7))
def test_every_line_comes_once_with_its_number_however_it_was_chunked(
    written: list[tuple[LogLevel, str]], first: int, per_chunk: int
) -> None:
    chunks = [
        chunk(first + start + n, level, text)
        for start in range(0, len(written), per_chunk)
        for n, (level, text) in enumerate(written[start : start + per_chunk])
    ]
    batch = LogBatch(chunks, first + len(written))

    messages = list(log_stream.messages(batch, limit=LIMIT))

    expected = [
        (first + n, enums.LEVEL_TO_PROTO[level], text) for n, (level, text) in enumerate(written)
    ]
    assert numbered(messages) == expected
    for each in (chunk for message in messages for chunk in message.chunks):
        assert each.line_count == each.text.count("\n")


@given(lines, st.integers(1, 1_000))
def test_a_stream_that_goes_on_after_any_message_misses_nothing_and_repeats_nothing(
    written: list[tuple[LogLevel, str]], first: int
) -> None:
    chunks = [chunk(first + n, level, text) for n, (level, text) in enumerate(written)]
    messages = list(log_stream.messages(LogBatch(chunks, first + len(written)), limit=LIMIT))
    for n, message in enumerate(messages):
        assert all(number < message.next_line for number, _, _ in numbered(messages[: n + 1]))
        assert all(number >= message.next_line for number, _, _ in numbered(messages[n + 1 :]))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40))
def test_a_message_stays_under_the_limit_unless_one_line_is_over_it(sizes: list[int]) -> None:
    text = ["x" * size for size in sizes]
    batch = LogBatch([chunk(1, LogLevel.INFO, *text)], len(text) + 1)
    for message in log_stream.messages(batch, limit=LIMIT):
        assert sum(len(c.text) for c in message.chunks) <= LIMIT


@given(st.lists(st.integers(0, 8), min_size=2, max_size=40))
def test_messages_are_filled_before_another_begins(sizes: list[int]) -> None:
    chunks = [chunk(n + 1, LogLevel.INFO, "x" * size) for n, size in enumerate(sizes)]
    messages = list(log_stream.messages(LogBatch(chunks, len(sizes) + 1), limit=LIMIT))
    for one, following in pairwise(messages):
        first_line = following.chunks[0].text.split("\n")[0] + "\n"
        assert sum(len(c.text) for c in one.chunks) + len(first_line) > LIMIT


def test_a_line_over_the_limit_goes_whole() -> None:
    batch = LogBatch([chunk(1, LogLevel.INFO, "a", "x" * 50, "b")], 4)
    messages = list(log_stream.messages(batch, limit=LIMIT))
    assert [text for _, _, text in numbered(messages)] == ["a", "x" * 50, "b"]


def test_successive_lines_of_one_level_are_one_chunk() -> None:
    chunks = [
        chunk(1, LogLevel.INFO, "a"),
        chunk(2, LogLevel.INFO, "b"),
        chunk(3, LogLevel.ERROR, "c"),
        chunk(4, LogLevel.INFO, "d"),
    ]
    [message] = log_stream.messages(LogBatch(chunks, 5))
    assert [(c.from_line, c.line_count, c.text) for c in message.chunks] == [
        (1, 2, "a\nb\n"),
        (3, 1, "c\n"),
        (4, 1, "d\n"),
    ]


def test_lines_with_a_gap_between_them_are_two_chunks() -> None:
    chunks = [chunk(1, LogLevel.INFO, "a"), chunk(3, LogLevel.INFO, "c")]
    [message] = log_stream.messages(LogBatch(chunks, 9))
    assert [c.from_line for c in message.chunks] == [1, 3]
    assert message.next_line == 9


def test_how_the_job_ended_is_in_the_last_message_alone() -> None:
    chunks = [chunk(1, LogLevel.INFO, "x" * 15), chunk(2, LogLevel.INFO, "x" * 15)]
    ended = replace(JOB, status=JobStatus.SUCCEED)
    messages = list(log_stream.messages(LogBatch(chunks, 3, final=ended), limit=LIMIT))
    assert [message.status for message in messages] == [0, pb.JOB_STATUS_SUCCEED]


def test_a_batch_without_lines_still_moves_on() -> None:
    assert list(log_stream.messages(LogBatch([], 8))) == [pb.StreamLogResponse(next_line=8)]


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    [message] = log_stream.messages(LogBatch([LogChunk(1, 1, LogLevel.INFO, b"\xff\n")], 2))
    assert message.chunks[0].text == "\ufffd\n"
