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

from entrance.client import Client, JobStatus, LogLine, Unavailable
from tests.support.counting import ENGINES, CountingJob
from tests.support.footprint import gone
from tests.support.jobs import became, ended, log_lines, new_creator, printed, said, texts
from tests.support.rest import Event
from tests.support.service import Caller, Service, end_all_jobs, running_service
from tests.support.waiting import until

DETACHED = {
    "shell": "echo $$; setsid sleep 1000 & echo $!; echo started; wait",
    "python": (
        "import os, subprocess, time\nprint(os.getpid())\n"
        "print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)\n"
        "print('started')\ntime.sleep(1000)"
    ),
}
RUNNER_PARTS = {"guard": slice(1), "worker": slice(1, 2), "both": slice(2)}


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    with running_service() as service:
        yield service


@pytest.fixture
def crashing(shared: Service) -> Iterator[Service]:
    """A running service whose parts a test may kill; its tests share it, and no job."""
    if not shared.server.runs:
        shared.start_server()
    if not shared.gateway.runs:
        shared.start_gateway()
    yield shared
    if shared.server.runs:
        end_all_jobs(shared)


class TestKilledServer:
    def test_each_acknowledged_job_is_there_once_and_as_it_was(self, crashing: Service) -> None:
        alice, creator = crashing.alice, new_creator()
        done = alice.client.submit("echo done", engine="shell", creator=creator)
        ended(done, JobStatus.SUCCEED)
        running, frozen = (CountingJob(alice, creator=creator) for _ in range(2))
        frozen.handle.pause()
        waiting, held = (
            alice.client.submit(f"echo {word}", engine="shell", creator=creator)
            for word in ("waiting", "held")
        )
        held.pause()
        jobs = [done, running.handle, frozen.handle, waiting, held]
        before = [log_lines(job) for job in jobs]
        assert frozen.pid

        crashing.restart_server()

        assert [job.task_id for job in alice.client.list_jobs(creator=creator)] == [
            job.task_id for job in reversed(jobs)
        ]
        for job, lines in zip(jobs, before, strict=True):
            assert log_lines(job)[: len(lines)] == lines
        assert done.status() is JobStatus.SUCCEED
        assert running.handle.status() is JobStatus.RUNNING
        assert (frozen.handle.status(), frozen.handle.get().paused) == (JobStatus.RUNNING, True)
        assert psutil.Process(frozen.pid).status() == psutil.STATUS_STOPPED
        assert waiting.status() is JobStatus.INITED
        assert (held.status(), held.get().paused) == (JobStatus.INITED, True)

        running.goes_on()
        running.finish()
        ended(waiting, JobStatus.SUCCEED)
        assert held.status() is JobStatus.INITED
        frozen.handle.resume()
        frozen.goes_on()
        frozen.finish()
        held.resume()
        ended(held, JobStatus.SUCCEED)
        assert printed(held) == ["held"]

    def test_a_log_that_nobody_has_read_begins_as_it_would_have(self, crashing: Service) -> None:
        alice, creator = crashing.alice, new_creator()
        running = [CountingJob(alice, creator=creator) for _ in range(2)]
        waits = alice.client.submit("echo ${run_date}", engine="shell", creator=creator)

        crashing.restart_server()

        first, second = texts(waits)
        assert f"jobID is {waits.exec_id}" in first
        assert "Variables put in: ${run_date}" in second
        for job in running:
            job.goes_on()

    @pytest.mark.parametrize("engine", ENGINES)
    def test_a_job_runs_on_in_its_runner_while_there_is_no_server(
        self, crashing: Service, engine: str
    ) -> None:
        job = CountingJob(crashing.alice, engine)
        lines, pid = log_lines(job.handle), job.pid
        crashing.server.kill()
        assert not gone([pid])
        crashing.start_server()
        job.goes_on()
        job.finish()
        assert log_lines(job.handle)[: len(lines)] == lines
        assert job.handle.get().attempt == 1

    def test_a_job_that_ends_meanwhile_has_its_end_and_results(self, crashing: Service) -> None:
        client = crashing.alice.client
        code = "SELECT sum(a.range * b.range) FROM range(20000) a, range(20000) b; SELECT 1 AS one"
        query = client.submit(code, engine="duckdb", creator=new_creator())
        go = crashing.directory / "go"
        code = f"echo x; until [ -e {go} ]; do sleep 0.02; done; exit 7"
        failing = client.submit(code, engine="shell", creator=new_creator())
        became(query, JobStatus.RUNNING)
        said(failing, "x")
        pids = [one.pid for one in crashing.job_processes(failing)]
        crashing.server.kill()
        go.touch()
        until(lambda: gone(pids), "the job ends without a server")
        crashing.start_server()
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
        self, crashing: Service
    ) -> None:
        client, creator = crashing.alice.client, new_creator()
        first = client.submit("kept = 41", engine="python", creator=creator)
        ended(first, JobStatus.SUCCEED)
        crashing.restart_server()
        after = client.submit("print(kept + 1)", engine="python", creator=creator)
        ended(after, JobStatus.SUCCEED)
        assert printed(after) == ["42"]

    def test_a_killed_job_stays_killed(self, crashing: Service) -> None:
        job = CountingJob(crashing.alice).handle
        job.kill()
        lines = texts(job)
        crashing.restart_server()
        assert job.status() is JobStatus.CANCELLED
        assert texts(job) == lines

    def test_a_job_can_be_paused_and_killed_after_it(self, crashing: Service) -> None:
        job = CountingJob(crashing.alice)
        assert job.pid
        crashing.restart_server()
        job.handle.pause()
        assert psutil.Process(job.pid).status() == psutil.STATUS_STOPPED
        job.handle.resume()
        job.handle.kill()
        assert job.handle.status() is JobStatus.CANCELLED
        assert gone([job.pid])

    def test_submits_that_go_on_through_it_make_each_job_once(self, crashing: Service) -> None:
        client, creator = crashing.alice.client, new_creator()
        acknowledged: list[tuple[str, int]] = []
        with _submitting(client, creator, acknowledged):
            for _ in range(2):
                _wait_for_more(acknowledged)
                crashing.restart_server()
            _wait_for_more(acknowledged)
        listed = [job.task_id for job in client.list_jobs(creator=creator, page_size=1_000)]
        assert len(listed) == len(set(listed))
        assert {task_id for _, task_id in acknowledged} <= set(listed)
        for request_id, task_id in acknowledged[::10]:
            assert _submit(client, creator, request_id) == task_id
        for task_id in listed:
            ended(client.job(task_id), JobStatus.SUCCEED)


class TestFollowers:
    def test_by_grpc_see_each_line_once_over_a_crash(self, crashing: Service) -> None:
        job = CountingJob(crashing.alice)
        lines: list[LogLine] = []
        follower = threading.Thread(target=lambda: lines.extend(job.handle.follow_log()))
        follower.start()
        crashing.restart_server()
        job.goes_on()
        job.finish()
        follower.join()
        assert lines == log_lines(job.handle)

    def test_by_grpc_from_a_line_on_see_the_rest_alone(self, crashing: Service) -> None:
        job = CountingJob(crashing.alice)
        first = list(itertools.islice(job.handle.follow_log(), 4))
        crashing.restart_server()
        job.let_go()
        rest = list(job.handle.follow_log(first[-1].number + 1))
        assert first + rest == log_lines(job.handle)

    @pytest.mark.parametrize("part", ["server", "gateway"])
    def test_by_server_sent_events_see_each_line_once_over_a_crash(
        self, crashing: Service, part: str
    ) -> None:
        job = CountingJob(crashing.alice)
        restart = crashing.restart_server if part == "server" else crashing.restart_gateway
        events = _follow_events(crashing.alice, job, restart)
        assert _lines(events) == texts(job.handle)
        assert events[-1].data == {"status": "Succeed"}

    def test_of_progress_and_of_the_job_see_its_end(self, crashing: Service) -> None:
        job = CountingJob(crashing.alice)
        handle = job.handle
        states: dict[str, JobStatus] = {}
        followers = [
            threading.Thread(
                target=lambda: states.update(progress=[*handle.follow_progress()][-1].status)
            ),
            threading.Thread(target=lambda: states.update(job=[*handle.watch()][-1].status)),
            threading.Thread(target=lambda: states.update(wait=handle.wait().status)),
        ]
        for follower in followers:
            follower.start()
        crashing.restart_server()
        job.finish()
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
        other = CountingJob(alice)
        job = alice.client.submit(DETACHED[engine], engine=engine, creator=creator)
        said(job, "started")
        _kill_runner(service, job.get().session_id, parts)
        ended(job, JobStatus.FAILED)
        error = job.get().error
        assert error is not None
        assert "SIGKILL" in error.message
        assert error.message in texts(job)[-1]
        until(lambda: gone(map(int, printed(job)[:-1])), "the job's own processes are gone")
        other.goes_on()
        other.finish()
        again = alice.client.submit(
            ":" if engine == "shell" else "1", engine=engine, creator=creator
        )
        ended(again, JobStatus.SUCCEED)

    def test_while_there_is_no_server_fails_the_job_at_the_next_start(
        self, crashing: Service
    ) -> None:
        job = crashing.alice.client.submit(DETACHED["shell"], engine="shell", creator=new_creator())
        said(job, "started")
        pids = [int(pid) for pid in printed(job)[:-1]]
        session_id = job.get().session_id
        crashing.server.kill()
        _kill_runner(crashing, session_id)
        crashing.start_server()
        ended(job, JobStatus.FAILED)
        error = job.get().error
        assert error is not None
        assert "lost" in error.message
        until(lambda: gone(pids), "the job's own processes are gone")


class TestKilledGateway:
    def test_leaves_jobs_and_grpc_alone_and_works_again(self, crashing: Service) -> None:
        job = CountingJob(crashing.alice)
        crashing.gateway.kill()
        job.goes_on()
        crashing.start_gateway()
        rest = crashing.alice.rest
        assert rest.get(f"{job.handle.exec_id}/status").data["status"] == "Running"
        assert rest.get(f"{job.handle.exec_id}/kill").is_ok

    def test_that_lives_answers_503_while_the_server_is_away(self, crashing: Service) -> None:
        job = CountingJob(crashing.alice)
        path, rest = f"{job.handle.exec_id}/status", crashing.alice.rest
        assert rest.get(path).is_ok
        crashing.server.kill()
        away = rest.get(path)
        assert (away.http, away.status) == (503, 1)
        crashing.start_server()
        until(lambda: rest.get(path).is_ok, "the gateway finds the server again")
        job.handle.kill()


class TestOrderlyRestart:
    def test_keeps_running_jobs_running(self, crashing: Service) -> None:
        job = CountingJob(crashing.alice)
        pid = job.pid
        assert crashing.server.stop() == 0
        assert not gone([pid])
        crashing.start_server()
        job.goes_on()
        job.finish()

    def test_without_a_job_leaves_no_process(self, crashing: Service) -> None:
        for engine, code in (("shell", ":"), ("python", "1"), ("duckdb", "SELECT 1")):
            ended(crashing.alice.client.submit(code, engine=engine), JobStatus.SUCCEED)
        assert crashing.footprint.runners()
        crashing.stop()
        crashing.footprint.assert_clean()
        assert list(crashing.sessions_dir.iterdir()) == []


def _kill_runner(service: Service, session_id: str, parts: slice = slice(3)) -> None:
    """Kills the runner of a session, or one process of it."""
    assert len(service.footprint.runners(session_id)) == 3
    service.footprint.kill_runners(session_id, parts)


@contextmanager
def _submitting(
    client: Client, creator: str, acknowledged: list[tuple[str, int]]
) -> Iterator[None]:
    """Submits job after job; notes the request id and the taskID of each that was acknowledged."""
    stop = threading.Event()

    def submit() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            request_id = f"{creator}-{number}"
            acknowledged.append((request_id, _submit(client, creator, request_id)))

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


def _submit(client: Client, creator: str, request_id: str) -> int:
    """Submits until that is acknowledged, which it is once."""
    while True:
        with contextlib.suppress(Unavailable):
            job = client.submit("exit 0", engine="shell", creator=creator, request_id=request_id)
            return job.task_id


def _follow_events(caller: Caller, job: CountingJob, crash: Callable[[], None]) -> list[Event]:
    """The events of a log for a reader that comes back after a crash in the midst of them."""
    path = f"{job.handle.exec_id}/log/stream"
    events: list[Event] = []
    crashed_at = 0
    while not events or events[-1].name != "end":
        last_id = events[-1].id if events else ""
        with contextlib.suppress(httpx.TransportError):
            for event in caller.rest.events(path, last_id=last_id):
                if event.name != "error":
                    events.append(event)
                count = len(_lines(events))
                if not crashed_at and count > 10:
                    crash()
                    crashed_at = count
                if crashed_at and count > crashed_at + 10:
                    job.let_go()
    return events


def _lines(events: Iterable[Event]) -> list[str]:
    return [line for event in events if event.name == "log" for line in event.data["lines"]]
