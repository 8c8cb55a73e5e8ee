"""Where a stream stands after each message, and with what a new one goes on."""

from __future__ import annotations

from entrance.client import LogLevel, LogLine, Unavailable
from entrance.client.follows import BytesFollow, JobFollow, LogFollow
from entrance.v1 import entrance_pb2 as pb


def chunk(
    from_line: int, text: str, level: pb.LogLevel.ValueType = pb.LOG_LEVEL_INFO
) -> pb.LogChunk:
    return pb.LogChunk(from_line=from_line, line_count=text.count("\n"), level=level, text=text)


def lines(*chunks: pb.LogChunk, next_line: int, status: int = 0) -> pb.StreamLogResponse:
    return pb.StreamLogResponse(chunks=chunks, next_line=next_line, status=status)  # type: ignore[arg-type]


def numbers(found: list[LogLine]) -> list[int]:
    return [line.number for line in found]


def test_a_log_is_asked_for_from_line_one_for_zero_and_less() -> None:
    assert [LogFollow("1", n, ()).request().from_line for n in (-5, 0, 1, 7)] == [1, 1, 1, 7]


def test_a_new_stream_goes_on_after_the_last_line() -> None:
    log = LogFollow("1", 1, [LogLevel.ERROR])
    log.take(lines(chunk(1, "a\nb\n"), next_line=3))

    request = log.request()

    assert (request.id, request.from_line, list(request.levels)) == ("1", 3, [pb.LOG_LEVEL_ERROR])


def test_lines_of_a_chunk_are_numbered_from_its_first() -> None:
    found = LogFollow("1", 1, ()).take(
        lines(chunk(1, "a\n\nb\n"), chunk(4, "c\n", pb.LOG_LEVEL_WARN), next_line=5)
    )

    assert found == [
        LogLine(1, LogLevel.INFO, "a"),
        LogLine(2, LogLevel.INFO, ""),
        LogLine(3, LogLevel.INFO, "b"),
        LogLine(4, LogLevel.WARN, "c"),
    ]


def test_only_a_newline_ends_a_line() -> None:
    found = LogFollow("1", 1, ()).take(lines(chunk(1, "a\rb\x0bc\u2028d\n"), next_line=2))

    assert [line.text for line in found] == ["a\rb\x0bc\u2028d"]


def test_lines_that_were_given_are_left_out_of_what_overlaps() -> None:
    log = LogFollow("1", 1, ())
    log.take(lines(chunk(1, "a\nb\n"), next_line=3))

    assert numbers(log.take(lines(chunk(1, "a\nb\nc\n"), next_line=4))) == [3]


def test_the_place_moves_on_over_lines_of_other_levels() -> None:
    log = LogFollow("1", 1, [LogLevel.ERROR])
    log.take(lines(next_line=50))

    assert log.request().from_line == 50


def test_the_place_never_moves_back() -> None:
    log = LogFollow("1", 1, ())
    log.take(lines(chunk(1, "a\nb\n"), next_line=1))

    assert log.request().from_line == 3


def test_a_log_ends_with_the_message_that_has_a_status() -> None:
    log = LogFollow("1", 1, ())
    log.take(lines(chunk(1, "a\n"), next_line=2))
    assert not log.ended
    log.take(lines(next_line=2, status=pb.JOB_STATUS_FAILED))
    assert log.ended


def test_a_log_stream_that_ends_without_a_status_was_cut() -> None:
    log = LogFollow("1", 1, ())

    assert isinstance(log.close(), Unavailable)
    assert not log.ended


def test_a_job_that_did_not_change_is_given_once() -> None:
    message = pb.WatchJobResponse(job=pb.Job(task_id=1, status=pb.JOB_STATUS_RUNNING))
    watch = JobFollow("1")

    assert [len(watch.take(message)) for _ in range(3)] == [1, 0, 0]


def test_content_goes_on_after_the_bytes_that_came() -> None:
    content = BytesFollow("1", 2)
    content.take(pb.StreamResultResponse(data=b"abc"))

    assert (content.request().index, content.request().offset) == (2, 3)
