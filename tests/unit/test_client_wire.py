"""Messages of the public API as values: levels out of a split log, times, unknown numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from entrance.client import EntranceError, JobStatus, LogLevel, wire
from entrance.v1 import entrance_pb2 as pb

ERROR, WARN, INFO = LogLevel.ERROR, LogLevel.WARN, LogLevel.INFO


def split(*lines: tuple[LogLevel, str]) -> list[str]:
    """The four texts of the Log operation."""
    by_level = [
        "\n".join(t for at, t in lines if at is level and t) for level in (ERROR, WARN, INFO)
    ]
    return [*by_level, "\n".join(text for _, text in lines)]


@pytest.mark.parametrize(
    "lines",
    [
        [(INFO, "one")],
        [(INFO, "")],
        [(INFO, ""), (INFO, "")],
        [(ERROR, "a"), (INFO, ""), (WARN, "b"), (ERROR, "a"), (INFO, "c")],
        [(INFO, " "), (ERROR, "x"), (INFO, "\t"), (INFO, "y")],
    ],
)
def test_each_line_of_a_split_log_gets_its_level_back(lines: list[tuple[LogLevel, str]]) -> None:
    answer = pb.LogResponse(from_line=7 + len(lines), log=split(*lines))

    page = wire.log_page(answer, from_line=7)

    assert [(line.level, line.text) for line in page.lines] == lines
    assert [line.number for line in page.lines] == list(range(7, 7 + len(lines)))
    assert page.next_line == 7 + len(lines)


@pytest.mark.parametrize("from_line", [-3, 0, 1])
def test_an_empty_log_has_no_line(from_line: int) -> None:
    page = wire.log_page(pb.LogResponse(from_line=1, log=["", "", "", ""]), from_line=from_line)

    assert (page.lines, page.next_line) == ((), 1)


def test_a_start_past_the_end_gives_no_line_and_stays() -> None:
    page = wire.log_page(pb.LogResponse(from_line=99, log=["", "", "", ""]), from_line=99)

    assert (page.lines, page.next_line) == ((), 99)


def test_every_status_has_its_documented_name() -> None:
    names = [wire.status(number) for number in pb.JobStatus.values() if number]

    assert names == list(JobStatus)
    assert [name.value for name in names if name.is_final] == [
        "Succeed",
        "Failed",
        "Cancelled",
        "Timeout",
    ]


def test_a_status_of_a_newer_service_is_told_as_that() -> None:
    with pytest.raises(EntranceError, match=r"job status \(99\).*newer version"):
        wire.status(99)


def test_a_job_keeps_unset_times_and_error_apart_from_zero() -> None:
    job = wire.job(pb.Job(task_id=1, status=pb.JOB_STATUS_INITED))

    assert (job.create_time, job.end_time, job.error, job.params) == (None, None, None, None)


def test_times_are_aware_and_in_utc() -> None:
    moment = datetime(2013, 1, 1, 5, 0, tzinfo=UTC)
    stamp = wire.timestamp(moment)

    assert stamp is not None
    assert wire.time(stamp) == moment
