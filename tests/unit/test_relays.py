"""How a stream goes on with another server: nothing twice, nothing left out."""

from __future__ import annotations

import pytest

from entrance.relays import FileRelay, JobRelay, LogRelay, ProgressRelay
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2


def log(next_line: int, status: pb.JobStatus.ValueType = pb.JOB_STATUS_UNSPECIFIED) -> bytes:
    return pb.StreamLogResponse(next_line=next_line, status=status).SerializeToString()


def test_a_log_goes_on_with_the_line_after_the_last_one() -> None:
    relay = LogRelay(pb.StreamLogRequest(id="7", from_line=1, levels=[pb.LOG_LEVEL_WARN]))
    relay.take(log(5))
    relay.take(log(9))
    rest = pb.StreamLogRequest.FromString(relay.resume() or b"")
    assert rest == pb.StreamLogRequest(id="7", from_line=9, levels=[pb.LOG_LEVEL_WARN])


def test_a_log_of_which_nothing_came_begins_where_it_was_asked_to() -> None:
    relay = LogRelay(pb.StreamLogRequest(id="7", from_line=3))
    assert pb.StreamLogRequest.FromString(relay.resume() or b"").from_line == 3


def test_a_stream_whose_end_was_sent_does_not_go_on() -> None:
    relay = LogRelay(pb.StreamLogRequest(id="7"))
    relay.take(log(5, pb.JOB_STATUS_SUCCEED))
    assert relay.resume() is None
    states = JobRelay(pb.WatchJobRequest(id="7"))
    states.take(pb.WatchJobResponse(job=pb.Job(status=pb.JOB_STATUS_FAILED)))
    assert states.resume() is None


@pytest.mark.parametrize("wire", [True, False])
def test_a_state_is_left_out_when_it_is_the_last_one_that_was_sent(wire: bool) -> None:
    relay = ProgressRelay(pb.StreamProgressRequest(id="7"))
    half = pb.StreamProgressResponse(progress=0.5)
    done = pb.StreamProgressResponse(progress=1.0)
    assert relay.take(half) is half
    assert relay.resume() == pb.StreamProgressRequest(id="7").SerializeToString()
    assert relay.take(half.SerializeToString() if wire else half) is None
    assert relay.take(done) is done
    assert relay.take(half) is half  # a later one is a change


def test_a_file_goes_on_after_the_bytes_that_were_sent() -> None:
    relay = FileRelay(files_pb2.DownloadRequest(path="entrance:///7/log"))
    for data in (b"ab", b"cd"):
        relay.take(files_pb2.DownloadResponse(data=data))
    assert relay.resume() is not None
    sent = [
        relay.take(files_pb2.DownloadResponse(file_name="7.log")),
        relay.take(files_pb2.DownloadResponse(data=b"abc")),
        relay.take(files_pb2.DownloadResponse(data=b"def")),
        relay.take(files_pb2.DownloadResponse(data=b"g")),
    ]
    assert sent[:2] == [None, None]
    assert [
        answer.data for answer in sent[2:] if isinstance(answer, files_pb2.DownloadResponse)
    ] == [
        b"ef",
        b"g",
    ]


def test_a_file_that_is_lost_twice_still_has_every_byte_once() -> None:
    relay = FileRelay(files_pb2.DownloadRequest(path="entrance:///7/log"))
    got = b""
    for pieces in ((b"ab",), (b"abc",), (b"a", b"bcd")):
        for data in pieces:
            answer = relay.take(files_pb2.DownloadResponse(data=data))
            if isinstance(answer, files_pb2.DownloadResponse):
                got += answer.data
        relay.resume()
    assert got == b"abcd"
