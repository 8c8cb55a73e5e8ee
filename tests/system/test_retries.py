"""Jobs whose try failed for want of an engine are tried again, once they are due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from entrance.client import JobHandle, JobParams, JobStatus
from tests.support.jobs import became, ended, log_lines, new_creator, printed, said, texts
from tests.support.service import SETTINGS, Service, running_service
from tests.support.waiting import until

SOON = {**SETTINGS, "ENTRANCE_RETRY_DELAY": "0.2"}
LATE = {**SETTINGS, "ENTRANCE_RETRY_DELAY": "3600", "ENTRANCE_RETRY_DELAY_MOST": "3600"}


@pytest.fixture(scope="module")
def soon() -> Iterator[Service]:
    """A service that tries again at once."""
    with running_service(SOON) as service:
        yield service


@pytest.fixture(scope="module")
def late() -> Iterator[Service]:
    """A service in which a retry is due when every test is over."""
    with running_service(LATE) as service:
        yield service


def submit(
    service: Service,
    code: str,
    *,
    engine: str = "shell",
    startup: Mapping[str, str] = {},
    **labels: str,
) -> JobHandle:
    return service.alice.client.submit(
        code,
        engine=engine,
        creator=new_creator(),
        labels=labels,
        params=JobParams(startup=startup),
    )


def once(service: Service, first: str, then: str, name: str) -> str:
    """A script whose first try prints and hangs, and whose second one does something else."""
    marker = service.directory / name
    return f"[ -e {marker} ] && {{ {then}; exit; }}; touch {marker}; {first}; sleep 1000"


def kill_runner(service: Service, job: JobHandle) -> None:
    """Ends the runner of a job, and with it all that it runs, without a warning."""
    service.footprint.kill_runners(job.get().session_id)


def waiting_for_retry(service: Service) -> JobHandle:
    """A job whose first try failed."""
    job = submit(service, "echo started; sleep 1000", retryNum="1")
    said(job, "started")
    kill_runner(service, job)
    became(job, JobStatus.WAIT_FOR_RETRY)
    return job


class TestRetry:
    def test_a_job_whose_runner_is_killed_runs_again_and_succeeds(self, soon: Service) -> None:
        job = submit(soon, once(soon, "echo first", "echo second", "a"), retryNum="1")
        said(job, "first")
        session = job.get().session_id
        kill_runner(soon, job)
        ended(job, JobStatus.SUCCEED)
        assert printed(job) == ["first", "second"]
        after = job.get()
        assert (after.attempt, after.error) == (2, None)
        assert after.session_id != session

    def test_the_log_goes_on_in_one_numbering_and_tells_of_each_try(self, soon: Service) -> None:
        job = submit(soon, once(soon, "echo first", "echo second", "b"), retryNum="2")
        said(job, "first")
        kill_runner(soon, job)
        ended(job, JobStatus.SUCCEED)
        lines = log_lines(job)
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))
        log = [line.text for line in lines]
        begins = [text for text in log if "runs in session" in text]
        assert [text[-12:] for text in begins] == [" try 1 of 3.", " try 2 of 3."]
        (failed,) = (text for text in log if "failed" in text)
        assert (
            "WARN Try 1 of 3 failed, the next one is due in 0.2 s. errCode: 40900 ,desc:" in failed
        )
        assert log.index(begins[0]) < log.index("first") < log.index(failed) < log.index(begins[1])

    def test_a_follower_sees_every_line_of_both_tries_once(self, soon: Service) -> None:
        job = submit(soon, once(soon, "echo first", "echo second", "c"), retryNum="1")
        seen = []
        for line in job.follow_log():
            seen.append(line)
            if line.text == "first":
                kill_runner(soon, job)
        assert seen == log_lines(job)

    def test_results_of_the_failed_try_are_gone(self, soon: Service) -> None:
        marker = soon.directory / "d"
        code = (
            "import os, time\n"
            "from IPython.display import HTML\n"
            f"if os.path.exists({str(marker)!r}):\n"
            "    display(HTML('second'))\n"
            "else:\n"
            "    display(HTML('first')); display(HTML('first too'))\n"
            f"    open({str(marker)!r}, 'w').close(); time.sleep(1000)\n"
        )
        job = submit(soon, code, engine="python", retryNum="1")
        until(lambda: job.get().result_count == 2, "the first try has its results")
        until(marker.exists, "the first try hangs")
        kill_runner(soon, job)
        ended(job, JobStatus.SUCCEED)
        assert [job.result(info.index).text() for info in job.results()] == ["second"]
        assert len(list(results_directory(soon, job).iterdir())) == 1

    def test_a_job_that_fails_every_time_fails_after_its_last_try(self, soon: Service) -> None:
        job = submit(
            soon, "1", engine="python", startup={"python.memory_limit": "16MiB"}, retryNum="2"
        )
        ended(job, JobStatus.FAILED)
        after = job.get()
        assert after.attempt == 3
        assert after.error is not None
        assert after.error.code == 40901
        assert "may have 16 MiB of memory" in after.error.message
        assert sum("failed, the next one is due" in text for text in texts(job)) == 2

    def test_the_delay_doubles(self, soon: Service) -> None:
        job = submit(
            soon, "1", engine="python", startup={"python.memory_limit": "16MiB"}, retryNum="2"
        )
        ended(job, JobStatus.FAILED)
        assert [text for text in texts(job) if "is due in 0.2 s" in text]
        assert [text for text in texts(job) if "is due in 0.4 s" in text]

    def test_an_error_of_the_code_is_not_tried_again(self, soon: Service) -> None:
        job = submit(soon, "exit 3", retryNum="3")
        ended(job, JobStatus.FAILED)
        assert job.get().attempt == 1

    def test_without_the_label_there_is_one_try(self, soon: Service) -> None:
        job = submit(soon, "echo started; sleep 1000")
        said(job, "started")
        kill_runner(soon, job)
        ended(job, JobStatus.FAILED)
        assert job.get().attempt == 1

    def test_a_try_that_takes_too_long_is_not_followed_by_another(self, soon: Service) -> None:
        job = submit(soon, "sleep 1000", retryNum="3", jobRunningTimeout="1")
        ended(job, JobStatus.TIMEOUT)
        assert job.get().attempt == 1

    def test_a_runner_lost_while_there_is_no_server_is_followed_by_another_try(
        self, soon: Service
    ) -> None:
        job = submit(soon, once(soon, "echo first", "echo second", "e"), retryNum="1")
        said(job, "first")
        session_id = job.get().session_id
        soon.server.kill()
        soon.footprint.kill_runners(session_id)
        soon.start_server()
        ended(job, JobStatus.SUCCEED)
        assert printed(job) == ["first", "second"]
        assert job.get().attempt == 2


class TestWaiting:
    def test_a_job_that_waits_tells_why_and_for_which_try(self, late: Service) -> None:
        job = waiting_for_retry(late)
        waiting = job.get()
        assert (waiting.attempt, waiting.progress, waiting.result_count) == (2, 0, 0)
        assert waiting.error is not None
        assert waiting.error.code == 40900
        assert late.alice.rest.get(f"{job.task_id}/status").data["status"] == "WaitForRetry"

    def test_it_can_be_killed(self, late: Service) -> None:
        job = waiting_for_retry(late)
        job.kill()
        assert job.status() is JobStatus.CANCELLED
        assert texts(job)[-1].endswith("Your job was killed by alice.")

    def test_it_can_be_paused_and_resumed(self, late: Service) -> None:
        job = waiting_for_retry(late)
        job.pause()
        assert (job.status(), job.get().paused) == (JobStatus.WAIT_FOR_RETRY, True)
        job.resume()
        assert (job.status(), job.get().paused) == (JobStatus.WAIT_FOR_RETRY, False)

    def test_it_waits_on_over_a_restart_of_the_server(self, late: Service) -> None:
        job = waiting_for_retry(late)
        lines = texts(job)
        late.restart_server()
        assert job.status() is JobStatus.WAIT_FOR_RETRY
        assert texts(job) == lines
        job.kill()
        assert job.status() is JobStatus.CANCELLED

    def test_a_retry_that_came_due_while_there_was_no_server_runs_at_once(self) -> None:
        with running_service({**SETTINGS, "ENTRANCE_RETRY_DELAY": "1"}) as service:
            job = submit(service, once(service, "echo first", "echo second", "f"), retryNum="1")
            said(job, "first")
            kill_runner(service, job)
            became(job, JobStatus.WAIT_FOR_RETRY)
            service.restart_server()
            ended(job, JobStatus.SUCCEED)
            assert printed(job) == ["first", "second"]

    def test_a_job_that_is_paused_is_held_when_it_is_due_and_runs_when_it_is_resumed(
        self, soon: Service
    ) -> None:
        job = submit(soon, once(soon, "echo first", "echo second", "g"), retryNum="1")
        said(job, "first")
        job.pause()
        kill_runner(soon, job)
        until(lambda: group_of(soon, job) == (0, 1), "the job is due and held")
        assert (job.status(), job.get().paused) == (JobStatus.WAIT_FOR_RETRY, True)
        job.resume()
        ended(job, JobStatus.SUCCEED)


def results_directory(service: Service, job: JobHandle) -> Path:
    return service.data_dir / "jobs" / str(job.task_id // 1000) / str(job.task_id) / "results"


def group_of(service: Service, job: JobHandle) -> tuple[int, int]:
    """How many jobs of a job's group run and wait in the queue."""
    creator = job.get().creator
    groups = service.admin.client.operations.groups()
    return next(((g.running, g.waiting) for g in groups if g.creator == creator), (0, 0))
