"""What a crash or a restart of one part leaves: every job that was acknowledged, and its lines."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager

import httpx
import psutil
import pytest

from entrance.client import Client, JobHandle, JobStatus, LogLine, Unavailable
from tests.support.footprint import gone
from tests.support.jobs import became, ended, log_lines, new_creator, printed, said, texts
from tests.support.rest import Event
from tests.support.service import Caller, Service
from tests.support.waiting import until

COUNT = 150
COUNTING = {
    "shell": f"echo $$; for i in $(seq {COUNT}); do echo $i; sleep 0.02; done",
    "python": (
        "import os, time\nprint(os.getpid())\n"
        f"for i in range(1, {COUNT + 1}):\n    print(i)\n    time.sleep(0.02)"
    ),
}
DETACHED = {
    "shell": "echo $$; setsid sleep 1000 & echo $!; echo started; wait",
    "python": (
        "import os, subprocess, time\nprint(os.getpid())\n"
        "print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)\n"
        "print('started')\ntime.sleep(1000)"
    ),
}
RUNNER_PARTS = {"guard": slice(1), "worker": slice(1, 2), "both": slice(2)}
NUMBERS = [str(i) for i in range(1, COUNT + 1)]


def _counting(caller: Caller, engine: str = "shell", creator: str | None = None) -> JobHandle:
    """A job that counts slowly, at work."""
    creator = creator or new_creator()
    job = caller.client.submit(COUNTING[engine], engine=engine, creator=creator)
    said(job, "5")
    return job


class TestKilledServer:
    def test_each_acknowledged_job_is_there_once_and_as_it_was(self, own_service: Service) -> None:
        alice, creator = own_service.alice, new_creator()
        done = alice.client.submit("echo done", engine="shell")
        ended(done, JobStatus.SUCCEED)
        running, frozen = (_counting(alice, creator=creator) for _ in range(2))
        frozen.pause()
        waiting, held = (
            alice.client.submit(f"echo {word}", engine="shell", creator=creator)
            for word in ("waiting", "held")
        )
        held.pause()
        jobs = [done, running, frozen, waiting, held]
        before = [log_lines(job) for job in jobs]
        stopped = _pid(frozen)

        own_service.restart_server()

        assert [job.task_id for job in own_service.admin.client.list_jobs()] == [
            job.task_id for job in reversed(jobs)
        ]
        for job, lines in zip(jobs, before, strict=True):
            assert log_lines(job)[: len(lines)] == lines
        assert done.status() is JobStatus.SUCCEED
        assert (frozen.status(), frozen.get().paused) == (JobStatus.RUNNING, True)
        assert psutil.Process(stopped).status() == psutil.STATUS_STOPPED
        assert (held.status(), held.get().paused) == (JobStatus.INITED, True)

        ended(running, JobStatus.SUCCEED)
        assert printed(running)[1:] == NUMBERS
        ended(waiting, JobStatus.SUCCEED)
        assert held.status() is JobStatus.INITED
        frozen.resume()
        held.resume()
        for job in (frozen, held):
            ended(job, JobStatus.SUCCEED)
        assert printed(frozen)[1:] == NUMBERS
        assert printed(held) == ["held"]

    @pytest.mark.parametrize("engine", COUNTING)
    def test_a_job_runs_on_in_its_runner_while_there_is_no_server(
        self, own_service: Service, engine: str
    ) -> None:
        job = _counting(own_service.alice, engine)
        lines, pid = log_lines(job), _pid(job)
        own_service.server.kill()
        assert not gone([pid])
        own_service.start_server()
        ended(job, JobStatus.SUCCEED)
        assert printed(job) == [str(pid), *NUMBERS]
        after = log_lines(job)
        assert after[: len(lines)] == lines
        assert [line.number for line in after] == list(range(1, len(after) + 1))
        assert job.get().attempt == 1

    def test_a_job_that_ends_meanwhile_has_its_end_and_results(self, own_service: Service) -> None:
        client = own_service.alice.client
        code = "SELECT sum(a.range * b.range) FROM range(20000) a, range(20000) b; SELECT 1 AS one"
        query = client.submit(code, engine="duckdb")
        failing = client.submit("echo x; sleep 0.3; exit 7", engine="shell")
        became(query, JobStatus.RUNNING)
        said(failing, "x")
        pids = [one.pid for one in own_service.job_processes(failing)]
        own_service.server.kill()
        until(lambda: gone(pids), "the job ends without a server")
        own_service.start_server()
        ended(failing, JobStatus.FAILED)
        error = failing.get().error
        assert error is not None
        assert "exit status 7" in error.message
        ended(query, JobStatus.SUCCEED)
        assert [list(query.result(index).rows()) for index in (0, 1)] == [
            [(str(sum(range(20000)) ** 2),)],
            [("1",)],
        ]

    def test_the_session_and_its_variables_are_there_for_the_next_job(
        self, own_service: Service
    ) -> None:
        client = own_service.alice.client
        ended(client.submit("kept = 41", engine="python"), JobStatus.SUCCEED)
        own_service.restart_server()
        after = client.submit("print(kept + 1)", engine="python")
        ended(after, JobStatus.SUCCEED)
        assert printed(after) == ["42"]

    def test_a_killed_job_stays_killed(self, own_service: Service) -> None:
        job = _counting(own_service.alice)
        job.kill()
        lines = texts(job)
        own_service.restart_server()
        assert job.status() is JobStatus.CANCELLED
        assert texts(job) == lines

    def test_a_job_can_be_killed_and_paused_after_it(self, own_service: Service) -> None:
        job = _counting(own_service.alice)
        own_service.restart_server()
        job.pause()
        assert psutil.Process(_pid(job)).status() == psutil.STATUS_STOPPED
        job.resume()
        job.kill()
        assert job.status() is JobStatus.CANCELLED
        assert gone([_pid(job)])

    def test_submits_that_go_on_through_it_make_each_job_once(self, own_service: Service) -> None:
        client = own_service.alice.client
        acknowledged: list[tuple[str, int]] = []
        with _submitting(client, acknowledged):
            for _ in range(2):
                _wait_for_more(acknowledged)
                own_service.restart_server()
            _wait_for_more(acknowledged)
        listed = [job.task_id for job in client.list_jobs(page_size=1_000)]
        assert len(listed) == len(set(listed))
        assert {task_id for _, task_id in acknowledged} <= set(listed)
        for request_id, task_id in acknowledged[::10]:
            again = client.submit("exit 0", engine="shell", request_id=request_id)
            assert again.task_id == task_id
        for _, task_id in acknowledged:
            ended(client.job(task_id), JobStatus.SUCCEED)


class TestFollowers:
    def test_by_grpc_see_each_line_once_over_a_crash(self, own_service: Service) -> None:
        job = _counting(own_service.alice)
        lines: list[LogLine] = []
        follower = threading.Thread(target=lambda: lines.extend(job.follow_log()))
        follower.start()
        own_service.restart_server()
        follower.join()
        assert lines == log_lines(job)
        assert [line.text for line in lines if line.text.isdigit()][1:] == NUMBERS

    def test_by_grpc_from_a_line_on_see_the_rest_alone(self, own_service: Service) -> None:
        job = _counting(own_service.alice)
        first = list(itertools.islice(job.follow_log(), 4))
        own_service.restart_server()
        rest = list(job.follow_log(first[-1].number + 1))
        assert first + rest == log_lines(job)

    @pytest.mark.parametrize("part", ["server", "gateway"])
    def test_by_server_sent_events_see_each_line_once_over_a_crash(
        self, own_service: Service, part: str
    ) -> None:
        job = _counting(own_service.alice)
        restart = own_service.restart_server if part == "server" else own_service.restart_gateway
        events = _follow_events(own_service, job, restart)
        assert _lines(events) == texts(job)
        assert events[-1].name == "end"
        assert events[-1].data == {"status": "Succeed"}

    def test_of_progress_and_of_the_job_see_its_end(self, own_service: Service) -> None:
        job = _counting(own_service.alice)
        states: dict[str, JobStatus] = {}
        followers = [
            threading.Thread(
                target=lambda: states.update(progress=[*job.follow_progress()][-1].status)
            ),
            threading.Thread(target=lambda: states.update(job=[*job.watch()][-1].status)),
            threading.Thread(target=lambda: states.update(wait=job.wait().status)),
        ]
        for follower in followers:
            follower.start()
        own_service.restart_server()
        for follower in followers:
            follower.join()
        assert states == dict.fromkeys(("progress", "job", "wait"), JobStatus.SUCCEED)


class TestKilledRunner:
    @pytest.mark.parametrize("parts", RUNNER_PARTS.values(), ids=RUNNER_PARTS)
    @pytest.mark.parametrize("engine", DETACHED)
    def test_fails_its_job_with_a_reason_and_leaves_no_process(
        self, service: Service, alice: Caller, engine: str, parts: slice
    ) -> None:
        creator = new_creator()
        other = _counting(alice)
        job = alice.client.submit(DETACHED[engine], engine=engine, creator=creator)
        said(job, "started")
        _kill_runner(service, job.get().session_id, parts)
        ended(job, JobStatus.FAILED)
        error = job.get().error
        assert error is not None
        assert "SIGKILL" in error.message
        assert error.message in texts(job)[-1]
        until(lambda: gone(map(int, printed(job)[:-1])), "the job's own processes are gone")
        ended(other, JobStatus.SUCCEED)
        again = alice.client.submit(
            ":" if engine == "shell" else "1", engine=engine, creator=creator
        )
        ended(again, JobStatus.SUCCEED)

    def test_while_there_is_no_server_fails_the_job_at_the_next_start(
        self, own_service: Service
    ) -> None:
        job = own_service.alice.client.submit(DETACHED["shell"], engine="shell")
        said(job, "started")
        pids = [int(pid) for pid in printed(job)[:-1]]
        session_id = job.get().session_id
        own_service.server.kill()
        _kill_runner(own_service, session_id)
        own_service.start_server()
        ended(job, JobStatus.FAILED)
        error = job.get().error
        assert error is not None
        assert "lost" in error.message
        until(lambda: gone(pids), "the job's own processes are gone")


class TestKilledGateway:
    def test_leaves_jobs_and_grpc_alone_and_works_again(self, own_service: Service) -> None:
        job = _counting(own_service.alice)
        own_service.gateway.kill()
        assert job.status() is JobStatus.RUNNING
        own_service.start_gateway()
        rest = own_service.alice.rest
        assert rest.get(f"{job.exec_id}/status").data["status"] == "Running"
        assert rest.get(f"{job.exec_id}/kill").is_ok

    def test_answers_503_while_the_server_is_away(self, own_service: Service) -> None:
        job = _counting(own_service.alice)
        rest = own_service.alice.rest
        assert rest.get(f"{job.exec_id}/status").is_ok
        own_service.server.kill()
        away = rest.get(f"{job.exec_id}/status")
        assert (away.http, away.status) == (503, 1)
        own_service.start_server()
        until(lambda: rest.get(f"{job.exec_id}/status").is_ok, "the gateway finds the server again")
        job.kill()


class TestOrderlyRestart:
    def test_keeps_running_jobs_running(self, own_service: Service) -> None:
        job = _counting(own_service.alice)
        pid = _pid(job)
        assert own_service.server.stop() == 0
        assert not gone([pid])
        own_service.start_server()
        ended(job, JobStatus.SUCCEED)
        assert printed(job)[1:] == NUMBERS

    def test_without_a_job_leaves_no_process(self, own_service: Service) -> None:
        for engine, code in (("shell", ":"), ("python", "1"), ("duckdb", "SELECT 1")):
            ended(own_service.alice.client.submit(code, engine=engine), JobStatus.SUCCEED)
        assert own_service.footprint.runners()
        own_service.stop()
        own_service.footprint.assert_clean()
        assert list((own_service.data_dir / "sessions").iterdir()) == []
        own_service.start()


def _pid(job: JobHandle) -> int:
    """The process of a counting job, which tells it first."""
    return int(printed(job)[0])


def _kill_runner(service: Service, session_id: str, parts: slice = slice(2)) -> None:
    """Kills the runner of a session, or one process of it."""
    runner = service.footprint.runners(session_id)
    assert len(runner) == 2
    for process in runner[parts]:
        process.kill()


@contextmanager
def _submitting(client: Client, acknowledged: list[tuple[str, int]]) -> Iterator[None]:
    """Submits job after job; notes the request id and the taskID of each that was acknowledged."""
    stop = threading.Event()

    def submit() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            request_id = f"request-{number}"
            acknowledged.append((request_id, _submit_until_acknowledged(client, request_id)))

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _wait_for_more(acknowledged: Sized) -> None:
    enough = len(acknowledged) + 10
    until(lambda: len(acknowledged) >= enough, "ten more submits are acknowledged")


def _submit_until_acknowledged(client: Client, request_id: str) -> int:
    while True:
        with contextlib.suppress(Unavailable):
            return client.submit("exit 0", engine="shell", request_id=request_id).task_id


def _follow_events(service: Service, job: JobHandle, crash: Callable[[], None]) -> list[Event]:
    """The events of a log for a reader that comes back after a crash in the midst of them."""
    events: list[Event] = []
    crashed = False
    while not events or events[-1].name != "end":
        last_id = events[-1].id if events else ""
        with contextlib.suppress(httpx.TransportError):
            for event in service.alice.rest.events(f"{job.exec_id}/log/stream", last_id=last_id):
                if event.name != "error":
                    events.append(event)
                if not crashed and "20" in _lines(events):
                    crash()
                    crashed = True
    return events


def _lines(events: Iterable[Event]) -> list[str]:
    return [line for event in events if event.name == "log" for line in event.data["lines"]]
