"""What a followed job looks like as server-sent events."""

from __future__ import annotations

import pytest

from entrance.v1 import entrance_pb2 as pb
from entrance_gateway.errors import Refusal
from entrance_gateway.events import END_ID, Event, events_of, go_on

INFO = pb.LogChunk(from_line=1, line_count=2, level=pb.LOG_LEVEL_INFO, text="a\n\n")
ERROR = pb.LogChunk(from_line=3, line_count=1, level=pb.LOG_LEVEL_ERROR, text="b\u2028c\n")


def test_each_chunk_is_an_event_whose_id_is_the_line_after_it() -> None:
    message = pb.StreamLogResponse(chunks=[INFO, ERROR], next_line=4)
    assert list(events_of(message)) == [
        Event("log", {"fromLine": 1, "level": "info", "lines": ["a", ""]}, "3"),
        Event("log", {"fromLine": 3, "level": "error", "lines": ["b\u2028c"]}, "4"),
    ]


def test_lines_that_a_filter_leaves_out_after_a_chunk_are_not_asked_for_again() -> None:
    message = pb.StreamLogResponse(chunks=[INFO], next_line=10)
    assert [event.id for event in events_of(message)] == ["10"]


def test_a_message_without_lines_only_moves_the_id() -> None:
    (event,) = events_of(pb.StreamLogResponse(next_line=10))
    assert event.encode() == b"id: 10\n\n"


def test_the_last_message_of_a_log_gives_its_lines_and_the_end() -> None:
    message = pb.StreamLogResponse(chunks=[INFO], next_line=3, status=pb.JOB_STATUS_CANCELLED)
    log, end = events_of(message)
    assert (log.name, log.id) == ("log", "3")
    assert end == Event("end", {"status": "Cancelled"}, END_ID)


def test_progress_is_an_event_without_an_id_since_the_next_one_replaces_it() -> None:
    message = pb.StreamProgressResponse(progress=0.5, task_id=7, status=pb.JOB_STATUS_RUNNING)
    (event,) = events_of(message)
    assert (event.name, event.id) == ("progress", None)
    assert event.data is not None
    assert event.data["progress"] == 0.5
    assert event.data["status"] == "Running"
    assert event.data["yarnResource"] is None


def test_a_watched_job_is_an_event_and_its_final_state_the_end() -> None:
    message = pb.WatchJobResponse(job=pb.Job(task_id=7, status=pb.JOB_STATUS_TIMEOUT))
    job, end = events_of(message)
    assert job.name == "job"
    assert job.data is not None
    assert job.data["taskID"] == 7
    assert end == Event("end", {"status": "Timeout"}, END_ID)


def test_a_message_of_another_service_is_an_event_too() -> None:
    assert list(events_of(pb.KillResponse(task_id=7))) == [
        Event("message", {"execID": "", "taskID": 7})
    ]


def test_an_event_is_one_line_of_data_whatever_it_holds() -> None:
    encoded = Event("log", {"lines": ["a\r\nb\n\nevent: end\u2028\x85c"]}, "3").encode()
    data = b'{"lines":["a\\r\\nb\\n\\nevent: end\\u2028\\u0085c"]}'
    assert encoded == b"id: 3\nevent: log\ndata: " + data + b"\n\n"


def test_a_log_goes_on_at_the_id_which_wins_over_the_query() -> None:
    request = pb.StreamLogRequest(from_line=1)
    go_on(request, "42")
    assert request.from_line == 42


def test_without_an_id_the_query_holds() -> None:
    request = pb.StreamLogRequest(from_line=5)
    go_on(request, "")
    assert request.from_line == 5


@pytest.mark.parametrize("last_id", ["x", "-1", "1.5", "٣", str(2**63), "9" * 100, "End"])
def test_an_id_of_another_stream_is_refused(last_id: str) -> None:
    with pytest.raises(Refusal, match="'Last-Event-ID' must be the id of an event"):
        go_on(pb.StreamLogRequest(), last_id)


def test_a_stream_of_states_begins_with_the_present_one_whatever_the_id() -> None:
    request = pb.WatchJobRequest(id="7")
    go_on(request, "x")
    assert request == pb.WatchJobRequest(id="7")
