"""Kill ends every process of a job; pause really stops it, and resume lets it go on."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from entrance.client import JobHandle, JobStatus, WrongState
from tests.support.footprint import gone
from tests.support.jobs import became, busy_group, ended, new_creator, printed, said, texts
from tests.support.service import Caller, Service
from tests.support.waiting import until

ENDLESS = {
    "shell": "echo started; while :; do sleep 0.02; echo tick; done",
    "python": "import time\nprint('started')\nwhile True:\n    time.sleep(0.02)\n    print('tick')",
    "duckdb": "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b",
}
COUNTING = {
    "shell": "for i in $(seq 50); do echo $i; sleep 0.01; done",
    "python": "import time\nfor i in range(1, 51):\n    print(i)\n    time.sleep(0.01)",
}
DETACHED = """\
trap '' TERM INT HUP
(trap '' TERM; setsid bash -c 'echo pid $$; while :; do sleep 1; done') &
bash -c '(setsid bash -c "trap \\"\\" TERM; echo pid \\$\\$; while :; do sleep 1; done" &) &'
echo pid $$
while :; do sleep 1; done
"""


def _submit(caller: Caller, engine: str, creator: str | None = None) -> JobHandle:
    """An endless job, at work."""
    job = caller.client.submit(ENDLESS[engine], engine=engine, creator=creator or new_creator())
    became(job, JobStatus.RUNNING)
    if engine != "duckdb":
        said(job, "started")
    return job


class TestKill:
    @pytest.mark.parametrize("engine", ENDLESS)
    def test_ends_a_running_job_of_each_engine(
        self, service: Service, alice: Caller, engine: str
    ) -> None:
        job = _submit(alice, engine)
        job.kill()
        assert job.status() is JobStatus.CANCELLED
        assert any("alice" in text and "kill" in text.lower() for text in texts(job))
        assert job.get().error is None

    def test_ends_what_forked_twice_left_its_session_and_ignores_sigterm(
        self, service: Service, alice: Caller
    ) -> None:
        job = alice.client.submit(DETACHED, engine="shell", creator=new_creator())
        until(lambda: len(_pids(job)) == 3, "every process of the job tells its number")
        pids = _pids(job)
        assert not any(gone([pid]) for pid in pids)
        job.kill()
        assert job.status() is JobStatus.CANCELLED
        assert gone(pids)
        assert service.job_processes(job) == []

    def test_lets_a_job_clean_up_within_the_grace_period(self, alice: Caller) -> None:
        code = "trap 'echo bye; exit 1' TERM; echo started; while :; do sleep 0.02; done"
        job = alice.client.submit(code, engine="shell", creator=new_creator())
        said(job, "started")
        job.kill()
        assert printed(job)[-1] == "bye"

    def test_ends_a_queued_job_which_then_never_runs(self, alice: Caller) -> None:
        creator = new_creator()
        with busy_group(alice, creator) as running:
            queued = alice.client.submit("echo ran", engine="shell", creator=creator)
            assert queued.status() is JobStatus.INITED
            queued.kill()
            assert queued.status() is JobStatus.CANCELLED
            assert queued.get().start_time is None
            assert [job.status() for job in running] == [JobStatus.RUNNING] * 2
        after = alice.client.submit("echo after", engine="shell", creator=creator)
        ended(after, JobStatus.SUCCEED)
        assert printed(queued) == []

    @pytest.mark.parametrize("engine", ENDLESS)
    def test_ends_a_paused_job(self, service: Service, alice: Caller, engine: str) -> None:
        job = _submit(alice, engine)
        job.pause()
        job.kill()
        assert job.status() is JobStatus.CANCELLED

    def test_ends_a_paused_queued_job(self, alice: Caller) -> None:
        creator = new_creator()
        with busy_group(alice, creator):
            queued = alice.client.submit("echo ran", engine="shell", creator=creator)
            queued.pause()
            queued.kill()
            assert queued.status() is JobStatus.CANCELLED

    @pytest.mark.parametrize("engine", ENDLESS)
    def test_ends_a_job_whose_session_is_just_opening(self, alice: Caller, engine: str) -> None:
        creator = new_creator()
        job = alice.client.submit(ENDLESS[engine], engine=engine, creator=creator)
        became(job, JobStatus.SCHEDULED, JobStatus.RUNNING)
        job.kill()
        assert job.status() is JobStatus.CANCELLED
        after = alice.client.submit(
            {"shell": ":", "python": "1", "duckdb": "SELECT 1"}[engine],
            engine=engine,
            creator=creator,
        )
        ended(after, JobStatus.SUCCEED)

    def test_by_many_at_once_ends_it_once(self, alice: Caller) -> None:
        job = _submit(alice, "shell")
        with ThreadPoolExecutor(8) as callers:
            outcomes = list(callers.map(lambda _: _killed(job), range(8)))
        assert any(outcomes)
        assert job.status() is JobStatus.CANCELLED
        assert sum("Your job has ended" in text or "killed" in text for text in texts(job)) == 1

    def test_leaves_the_session_s_variables_to_the_next_job_where_the_engine_can(
        self, alice: Caller
    ) -> None:
        creator = new_creator()
        first = alice.client.submit("kept = 41", engine="python", creator=creator)
        ended(first, JobStatus.SUCCEED)
        killed = _submit(alice, "python", creator)
        killed.kill()
        after = alice.client.submit("print(kept + 1)", engine="python", creator=creator)
        ended(after, JobStatus.SUCCEED)
        assert printed(after) == ["42"]


class TestPause:
    @pytest.mark.parametrize("engine", COUNTING)
    def test_stops_a_running_job_and_resume_lets_it_go_on_where_it_was(
        self, service: Service, alice: Caller, engine: str
    ) -> None:
        job = alice.client.submit(COUNTING[engine], engine=engine, creator=new_creator())
        said(job, "3")
        job.pause()
        assert job.get().paused
        frozen = texts(job)
        for process in service.job_processes(job):
            assert process.status() == psutil.STATUS_STOPPED
        _wait_for_another_job(alice)
        assert texts(job) == frozen
        job.resume()
        assert not job.get().paused
        ended(job, JobStatus.SUCCEED)
        assert printed(job) == [str(i) for i in range(1, 51)]

    def test_stops_a_query_and_resume_lets_it_go_on(self, service: Service, alice: Caller) -> None:
        code = "SELECT sum(a.range * b.range) AS s FROM range(20000) a, range(20000) b"
        job = alice.client.submit(code, engine="duckdb", creator=new_creator())
        (engine,) = until(lambda: service.job_processes(job), "the engine has a process")
        became(job, JobStatus.RUNNING)
        job.pause()
        assert engine.status() == psutil.STATUS_STOPPED
        used = engine.cpu_times()
        _wait_for_another_job(alice)
        assert engine.cpu_times() == used
        job.resume()
        ended(job, JobStatus.SUCCEED)
        assert [row for row in job.result().rows()] == [(str(sum(range(20000)) ** 2),)]

    def test_holds_a_queued_job_and_resume_lets_it_start(self, alice: Caller) -> None:
        creator = new_creator()
        with busy_group(alice, creator):
            held = alice.client.submit("echo ran", engine="shell", creator=creator)
            held.pause()
            assert held.get().paused
        after = alice.client.submit("echo after", engine="shell", creator=creator)
        ended(after, JobStatus.SUCCEED)
        assert held.status() is JobStatus.INITED
        held.resume()
        ended(held, JobStatus.SUCCEED)
        assert printed(held) == ["ran"]

    def test_freezes_processes_that_left_their_session(
        self, service: Service, alice: Caller
    ) -> None:
        job = alice.client.submit(DETACHED, engine="shell", creator=new_creator())
        until(lambda: len(_pids(job)) == 3, "every process of the job tells its number")
        job.pause()
        states = {psutil.Process(pid).status() for pid in _pids(job)}
        assert states == {psutil.STATUS_STOPPED}
        job.kill()
        assert gone(_pids(job))

    def test_again_changes_nothing(self, alice: Caller) -> None:
        job = _submit(alice, "shell")
        for _ in range(2):
            job.pause()
        frozen = texts(job)
        assert sum("paused" in text for text in frozen) == 1
        for _ in range(2):
            job.resume()
        assert not job.get().paused
        job.kill()

    def test_shows_in_every_stream_that_follows_the_job(self, alice: Caller) -> None:
        job = _submit(alice, "shell")
        seen: list[bool] = []
        follower = threading.Thread(target=lambda: seen.extend(one.paused for one in job.watch()))
        follower.start()
        for paused in (True, False):
            (job.pause if paused else job.resume)()
            until(functools.partial(_last_is, seen, paused), "the watcher sees it")
        job.kill()
        follower.join()
        assert [paused for paused, _ in itertools.groupby(seen)] == [False, True, False]

    def test_of_an_ended_job_is_refused(self, alice: Caller) -> None:
        job = alice.client.submit(":", engine="shell")
        ended(job, JobStatus.SUCCEED)
        for change in (job.pause, job.resume):
            with pytest.raises(WrongState):
                change()


def _pids(job: JobHandle) -> list[int]:
    return [int(text.removeprefix("pid ")) for text in texts(job) if text.startswith("pid ")]


def _killed(job: JobHandle) -> bool:
    try:
        job.kill()
    except WrongState:
        return False
    return True


def _last_is(seen: Sequence[bool], wanted: bool) -> bool:
    return bool(seen) and seen[-1] is wanted


def _wait_for_another_job(caller: Caller) -> None:
    """Lets time pass in which a job that is not frozen would do something."""
    other = caller.client.submit("sleep 0.2", engine="shell", creator="Clock")
    ended(other, JobStatus.SUCCEED)
