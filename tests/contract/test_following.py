"""Followed logs, progress and jobs: by gRPC streams and by server-sent events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from entrance.client import JobHandle, JobStatus
from entrance.v1 import entrance_pb2 as pb
from tests.support.jobs import ended, new_creator, said, texts
from tests.support.rest import ROOT, Event
from tests.support.service import Caller, Service

CODE = """\
echo one
echo '2030-01-31 08:00:00 ERROR two'
echo
echo '2030-01-31 08:00:00 WARN three'
echo '2030-01-31 08:00:00 WARN four'
echo five
"""


@pytest.fixture(scope="module")
def ended_job(service: Service) -> JobHandle:
    job = service.alice.client.submit(CODE, engine="shell")
    ended(job, JobStatus.SUCCEED)
    return job


@pytest.fixture
def ticking_job(alice: Caller) -> Iterator[JobHandle]:
    code = "echo started; while :; do sleep 0.02; echo tick; done"
    job = alice.client.submit(code, engine="shell", creator=new_creator())
    said(job, "started")
    yield job
    if not job.status().is_final:
        job.kill()


class TestLog:
    def test_a_stream_ends_with_the_final_status(self, alice: Caller, ended_job: JobHandle) -> None:
        *messages, last = alice.rpc.call("StreamLog", pb.StreamLogRequest(id=ended_job.exec_id))
        chunks = [chunk for message in messages for chunk in message.chunks]
        assert "".join(chunk.text for chunk in chunks).split("\n")[:-1] == texts(ended_job)
        assert [message.status for message in messages] == [0] * len(messages)
        assert (list(last.chunks), last.status) == ([], pb.JOB_STATUS_SUCCEED)
        assert last.next_line == len(texts(ended_job)) + 1

    def test_chunks_are_of_one_level_and_number_their_lines(
        self, alice: Caller, ended_job: JobHandle
    ) -> None:
        stream = alice.rpc.call("StreamLog", pb.StreamLogRequest(id=ended_job.exec_id))
        line = 1
        for chunk in (chunk for message in stream for chunk in message.chunks):
            assert chunk.from_line == line
            assert chunk.text.count("\n") == chunk.line_count
            line += chunk.line_count
        assert line == len(texts(ended_job)) + 1

    @pytest.mark.parametrize("level", ["WARN", "ERROR"])
    def test_one_level_alone(self, alice: Caller, ended_job: JobHandle, level: str) -> None:
        wanted = [line for line in ended_job.follow_log() if line.level == level]
        request = pb.StreamLogRequest(
            id=ended_job.exec_id, levels=[pb.LogLevel.Value(f"LOG_LEVEL_{level}")]
        )
        by_grpc = [
            chunk.text
            for message in alice.rpc.call("StreamLog", request)
            for chunk in message.chunks
        ]
        by_rest = alice.rest.events(f"{ended_job.exec_id}/log/stream?levels={level.lower()}")
        assert "".join(by_grpc).split("\n")[:-1] == [line.text for line in wanted]
        assert _lines(by_rest) == [line.text for line in wanted]

    def test_an_event_has_its_lines_level_and_number(
        self, alice: Caller, ended_job: JobHandle
    ) -> None:
        *events, end = alice.rest.events(f"{ended_job.exec_id}/log/stream")
        assert {event.name for event in events} == {"log"}
        assert all(event.data.keys() == {"fromLine", "level", "lines"} for event in events)
        assert [
            (event.data["fromLine"] + number, text)
            for event in events
            for number, text in enumerate(event.data["lines"])
        ] == list(enumerate(texts(ended_job), 1))
        assert (end.name, end.data) == ("end", {"status": "Succeed"})

    def test_a_reader_that_breaks_off_after_any_event_misses_and_repeats_no_line(
        self, alice: Caller, ended_job: JobHandle
    ) -> None:
        path = f"{ended_job.exec_id}/log/stream"
        events = list(alice.rest.events(path))
        for count in range(1, len(events)):
            seen = events[:count]
            rest = list(alice.rest.events(path, last_id=seen[-1].id))
            assert _lines(seen) + _lines(rest) == texts(ended_job)

    def test_a_reader_that_comes_back_again_and_again_sees_each_line_once(
        self, alice: Caller, ticking_job: JobHandle
    ) -> None:
        path, last_id, lines = f"{ticking_job.exec_id}/log/stream", "", list[str]()
        for _ in range(10):
            event = next(alice.rest.events(path, last_id=last_id))
            lines += event.data["lines"]
            last_id = event.id
        ticking_job.kill()
        lines += _lines(alice.rest.events(path, last_id=last_id))
        assert lines == texts(ticking_job)

    def test_a_reader_that_had_the_end_is_told_not_to_come_back(
        self, alice: Caller, ended_job: JobHandle
    ) -> None:
        *_, end = alice.rest.events(f"{ended_job.exec_id}/log/stream")
        path = f"{ROOT}/{ended_job.exec_id}/log/stream"
        again = alice.rest.http.get(path, headers={"Last-Event-ID": end.id})
        assert (again.status_code, again.content) == (204, b"")

    def test_a_start_past_the_end_gives_the_end_alone(
        self, alice: Caller, ended_job: JobHandle
    ) -> None:
        request = pb.StreamLogRequest(id=ended_job.exec_id, from_line=1_000)
        (message,) = alice.rpc.call("StreamLog", request)
        assert (list(message.chunks), message.next_line) == ([], 1_000)
        events = list(alice.rest.events(f"{ended_job.exec_id}/log/stream?fromLine=1000"))
        assert [event.name for event in events] == ["end"]

    def test_every_line_is_sent_as_it_is_printed(
        self, alice: Caller, ticking_job: JobHandle
    ) -> None:
        ticks = 0
        for event in alice.rest.events(f"{ticking_job.exec_id}/log/stream"):
            ticks += event.data["lines"].count("tick")
            if ticks >= 5:
                break
        assert ticking_job.status() is JobStatus.RUNNING


class TestProgressAndJob:
    def test_progress_ends_with_the_final_status(
        self, alice: Caller, ticking_job: JobHandle
    ) -> None:
        events = alice.rest.events(f"{ticking_job.exec_id}/progress/stream")
        first = next(events)
        assert (first.name, first.data["status"], first.data["paused"]) == (
            "progress",
            "Running",
            False,
        )
        assert first.data["execID"] == ticking_job.exec_id
        ticking_job.kill()
        *_, last, end = events
        assert (last.data["progress"], last.data["status"]) == (1.0, "Cancelled")
        assert end.data == {"status": "Cancelled"}

    def test_a_watched_job_shows_each_change(self, alice: Caller, ticking_job: JobHandle) -> None:
        events = alice.rest.events(f"{ticking_job.exec_id}/watch")
        assert next(events).data["paused"] is False
        ticking_job.pause()
        assert next(event for event in events if event.data["paused"]).name == "job"
        ticking_job.kill()
        *_, last, end = events
        assert last.data["status"] == "Cancelled"
        assert last.data["endTime"]
        assert end.name == "end"

    @pytest.mark.parametrize("path", ["log/stream", "progress/stream", "watch"])
    def test_many_followers_see_the_same_end(
        self, alice: Caller, ended_job: JobHandle, path: str
    ) -> None:
        streams = [alice.rest.events(f"{ended_job.exec_id}/{path}") for _ in range(5)]
        assert {list(stream)[-1].name for stream in streams} == {"end"}


def _lines(events: Iterable[Event]) -> list[str]:
    return [line for event in events if event.name == "log" for line in event.data["lines"]]
