"""Too much of anything is refused with what to do, in bounded memory, and others work on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from entrance.client import JobHandle, JobStatus
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc
from tests.support.jobs import became, ended, new_creator, said
from tests.support.memory import MIB, bounded_memory
from tests.support.raw_http import exchange, request_of
from tests.support.rest import ROOT, Event, answer_of, events_in, labels_form
from tests.support.rpc import refused
from tests.support.service import HOST, SETTINGS, Caller, Service, running_service, started_service
from tests.support.waiting import PATIENCE, until

GROWTH = 64 * MIB  # of server and gateway each, whatever is done to them
QUEUE = 5
STREAMS = 10
CONNECTIONS = 40
BOUNDS = {
    **SETTINGS,
    "ENTRANCE_GROUP_WAITING": str(QUEUE),
    "ENTRANCE_MAX_STREAMS_PER_USER": str(STREAMS),
    "ENTRANCE_MAX_CONNECTIONS": str(CONNECTIONS),
    "ENTRANCE_GATEWAY_MAX_CONNECTIONS": str(CONNECTIONS),
}
LINE = "x" * 99
LINES = 1_500_000  # with LINE 150 MB, far more than memory may grow by
QUEUED = 10_000
AT_ONCE = 100  # calls of one caller


@pytest.fixture(scope="module")
def bounded() -> Iterator[Service]:
    """A service with bounds that are soon reached."""
    with running_service(BOUNDS) as service:
        yield service


@pytest.fixture
def watched(bounded: Service) -> Iterator[JobHandle]:
    """A job of bob's that goes on whatever others do, in a service whose memory stays bounded."""
    caller = bounded.bob
    job = caller.client.submit("echo started; sleep 1000", engine="shell", creator=new_creator())
    said(job, "started")
    assert caller.rest.get(f"{job.task_id}/status").is_ok
    with bounded_memory(bounded, growth=GROWTH):
        yield job
        goes_on(caller, job)
    job.kill()


def goes_on(caller: Caller, job: JobHandle) -> None:
    """Fails unless a caller is answered in both protocols, and can run a job."""
    assert job.status() is JobStatus.RUNNING
    assert caller.rest.get(f"{job.task_id}/status").data["status"] == "Running"
    ended(caller.client.submit("exit 0", engine="shell"), JobStatus.SUCCEED)


def told_when_to_come_back(caller: Caller, path: str) -> None:
    """Fails unless a refusal by REST tells when to come back."""
    response = caller.rest.http.get(f"{ROOT}/{path}")
    assert (response.status_code, answer_of(response).status) == (429, 1)
    assert int(response.headers["retry-after"]) > 0


class TestQueue:
    def test_a_full_queue_refuses_by_both_protocols_until_a_job_has_left(
        self, bounded: Service, watched: JobHandle
    ) -> None:
        alice, creator = bounded.alice, new_creator()

        def submit() -> JobHandle:
            return alice.client.submit("sleep 1000", engine="shell", creator=creator)

        jobs = [submit() for _ in range(2)]  # as many as run at once
        for job in jobs:
            became(job, JobStatus.RUNNING)
        jobs += [submit() for _ in range(QUEUE)]
        refusal = alice.rpc.refusal(
            "Submit",
            pb.SubmitRequest(
                execution_content=pb.ExecutionContent(code="exit 0", run_type="shell"),
                labels={"engineType": "shell", "creator": creator},
            ),
        )
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "QUEUE_FULL",
        )
        form = labels_form("exit 0", "shell", "shell", creator=creator)
        response = alice.rest.http.post(f"{ROOT}/submit", json=form)
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 0
        assert answer_of(response).message == refusal.message
        assert f"{QUEUE} jobs wait already" in refusal.message
        assert "kill some" in refusal.message
        jobs.pop().kill()
        jobs.append(submit())
        alice.client.kill_jobs(job.task_id for job in jobs)


class TestFairness:
    def test_one_job_starts_in_its_turn_beside_10_000_of_somebody_else(self) -> None:
        settings = {
            **SETTINGS,
            "ENTRANCE_GROUP_WAITING": str(QUEUED),
            "ENTRANCE_MAX_RUNNING": "2",
        }
        with started_service(settings) as service:  # which neither runs nor kills all at its end
            order, go = service.directory / "order", service.directory / "go"
            wait = f"until [ -e {go} ]; do sleep 0.02; done"
            warm = service.bob.client.submit("exit 0", engine="shell")  # so that a session is there
            ended(warm, JobStatus.SUCCEED)
            with bounded_memory(service, growth=GROWTH):
                first = _submit_many(service, f"echo alice >> {order}; {wait}", QUEUED)
                until(lambda: _lines(order) == ["alice"] * 2, "as many run as may")
                job = service.bob.client.submit(f"echo bob >> {order}", engine="shell")
                assert service.bob.rest.get(f"{job.task_id}/status").data["status"] == "Inited"
                assert not service.alice.client.job(first).status().is_final
                go.touch()
                ended(job, JobStatus.SUCCEED)
            assert _lines(order).index("bob") < 10  # some of alice's run at the same time


class TestStreams:
    def test_a_user_with_too_many_is_refused_by_both_protocols_until_one_ends(
        self, bounded: Service, watched: JobHandle
    ) -> None:
        alice = bounded.alice
        job = alice.client.submit("echo started; sleep 1000", engine="shell")
        said(job, "started")
        request = pb.StreamLogRequest(id=job.exec_id)
        with ExitStack() as stack:
            for number in range(STREAMS):
                if number % 2:
                    path = f"{ROOT}/{job.task_id}/log/stream"
                    response = stack.enter_context(alice.rest.http.stream("GET", path))
                    assert response.status_code == 200
                else:
                    stream = alice.rpc.call("StreamLog", request)
                    stack.callback(stream.cancel)
                    next(stream)
            refusal = alice.rpc.refusal("StreamLog", request)
            assert (refusal.code, refusal.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "STREAM_LIMIT",
            )
            assert "end one first" in refusal.message
            told_when_to_come_back(alice, f"{job.task_id}/log/stream")
            assert job.status() is JobStatus.RUNNING
            others = bounded.bob.rpc.call("StreamLog", pb.StreamLogRequest(id=watched.exec_id))
            next(others)
            others.cancel()
        until(lambda: _streams(alice, request), "there is room again")
        job.kill()


class TestConnections:
    def test_silent_ones_by_http_make_room_for_those_that_ask(
        self, bounded: Service, watched: JobHandle
    ) -> None:
        headers = {"Authorization": f"Bearer {bounded.bob.token}"}
        status = request_of("GET", f"{ROOT}/{watched.task_id}/status", headers)
        with silent_connections(bounded.http_port, CONNECTIONS * 5, [b"", status[:-2]]):
            for _ in range(3):  # each by a new connection
                answer = exchange(bounded.http_port, status)
                assert answer.envelope["data"]["status"] == "Running"

    def test_slow_bodies_hold_up_nobody(self, bounded: Service, watched: JobHandle) -> None:
        headers = {
            "Authorization": f"Bearer {bounded.alice.token}",
            "Content-Length": str(MIB),
            "Content-Type": "application/json",
        }
        begun = request_of("POST", f"{ROOT}/submit", headers, b"") + b"{"
        with silent_connections(bounded.http_port, CONNECTIONS // 2, [begun]):
            goes_on(bounded.bob, watched)

    def test_silent_ones_by_grpc_leave_those_alone_that_are_there(
        self, bounded: Service, watched: JobHandle
    ) -> None:
        with silent_connections(bounded.grpc_port, CONNECTIONS * 5, [b"", b"PRI * HTTP/2.0"]):
            refusal = refused(lambda: _status_by_new_connection(bounded, watched))
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            goes_on(bounded.bob, watched)
        until(lambda: _answers(bounded, watched), "new connections are taken again")


class TestSlowFollowers:
    def test_those_that_stop_reading_hold_up_nobody_and_have_every_line_in_the_end(
        self, bounded: Service, watched: JobHandle
    ) -> None:
        alice = bounded.alice
        go = bounded.directory / new_creator()
        code = f"until [ -e {go} ]; do sleep 0.02; done; yes {LINE} | head -n {LINES}"
        job = alice.client.submit(code, engine="shell", creator=new_creator())
        request = pb.StreamLogRequest(id=job.exec_id)
        slow, fast = (alice.rpc.call("StreamLog", request) for _ in range(2))
        path = f"{ROOT}/{job.task_id}/log/stream"
        with alice.rest.http.stream("GET", path) as response:
            lines = response.iter_lines()
            seen, events = [next(slow)], events_in(lines, "")
            shown = [next(events)]
            go.touch()
            followed = _numbers(fast)
            ended(job, JobStatus.SUCCEED)
            assert followed == _numbers([*seen, *slow])
            assert followed == _numbers_in([*shown, *events])
        assert followed == list(range(1, len(followed) + 1))
        assert len(followed) > LINES


class TestHugeMessages:
    def test_many_by_grpc(self, bounded: Service, watched: JobHandle) -> None:
        content = pb.ExecutionContent(code="x" * 8 * MIB, run_type="shell")
        request = pb.SubmitRequest(execution_content=content)
        for _ in range(20):
            refusal = bounded.alice.rpc.refusal("Submit", request)
            assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert str(4 * MIB) in refusal.message

    @pytest.mark.parametrize("is_declared", [True, False])
    def test_endless_by_rest(self, bounded: Service, watched: JobHandle, is_declared: bool) -> None:
        pieces = 100

        def body() -> Iterator[bytes]:
            for _ in range(pieces):
                yield b" " * MIB

        headers = {"Content-Length": str(pieces * MIB)} if is_declared else {}
        response = bounded.alice.rest.http.post(f"{ROOT}/submit", content=body(), headers=headers)
        assert (response.status_code, answer_of(response).status) == (413, 1)
        assert "2,097,152 bytes" in answer_of(response).message


@contextmanager
def silent_connections(port: int, count: int, sent: Sequence[bytes]) -> Iterator[None]:
    """Connections that send a part of a request, or nothing, and then are silent."""
    with ExitStack() as stack:
        for number in range(count):
            connection = socket.create_connection((HOST, port), timeout=PATIENCE)
            stack.callback(connection.close)
            try:
                connection.sendall(sent[number % len(sent)])
            except OSError:  # refused
                continue
        yield


def _submit_many(service: Service, code: str, count: int) -> int:
    """Submits jobs as fast as they are taken; the number of the first one."""

    async def submit_all() -> list[int]:
        places = asyncio.Semaphore(AT_ONCE)
        async with grpc.aio.insecure_channel(f"{HOST}:{service.grpc_port}") as channel:
            stub = entrance_pb2_grpc.EntranceServiceStub(channel)
            request = pb.SubmitRequest(
                execution_content=pb.ExecutionContent(code=code, run_type="shell"),
                labels={"engineType": "shell"},
            )

            async def submit() -> int:
                async with places:
                    answer = await stub.Submit(request, metadata=service.alice.rpc.metadata)
                    return answer.task_id

            return await asyncio.gather(*(submit() for _ in range(count)))

    return min(asyncio.run(submit_all()))


def _lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def _streams(caller: Caller, request: pb.StreamLogRequest) -> bool:
    stream = caller.rpc.call("StreamLog", request)
    try:
        next(stream)
    except grpc.RpcError:
        return False
    finally:
        stream.cancel()
    return True


def _status_by_new_connection(service: Service, job: JobHandle) -> Any:
    """The answer to a call by a new connection."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"{HOST}:{service.grpc_port}", options=options) as channel:
        stub = entrance_pb2_grpc.EntranceServiceStub(channel)
        request = pb.StatusRequest(id=job.exec_id)
        return stub.Status(request, metadata=service.bob.rpc.metadata, timeout=PATIENCE)


def _answers(service: Service, job: JobHandle) -> bool:
    try:
        _status_by_new_connection(service, job)
    except grpc.RpcError:
        return False
    return True


def _numbers(responses: Iterable[pb.StreamLogResponse]) -> list[int]:
    """The numbers of the lines in messages of a followed log."""
    return [
        number
        for response in responses
        for chunk in response.chunks
        for number in range(chunk.from_line, chunk.from_line + chunk.line_count)
    ]


def _numbers_in(events: Iterable[Event]) -> list[int]:
    """The numbers of the lines in the events of a followed log."""
    return [
        number
        for event in events
        if event.name == "log"
        for number in range(
            event.data["fromLine"], event.data["fromLine"] + len(event.data["lines"])
        )
    ]
