"""What a service keeps on disk: bounded by job, age and size, and safe when the disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import psutil
import pytest

from entrance.client import JobStatus, NotFound
from entrance.v1 import entrance_pb2 as pb
from tests.support.identities import BASE
from tests.support.jobs import ended, log_lines, new_creator, printed, said, texts
from tests.support.rest import ROOT, labels_form
from tests.support.service import SETTINGS, Service, running_service
from tests.support.waiting import until

KIB = 1024
OFTEN = {"ENTRANCE_RETENTION_INTERVAL": 0.05}
LARGE = "for i in $(seq 3000); do printf '%01000d\\n' $i; done"  # about 3 MiB of lines


@contextmanager
def service_with(**settings: object) -> Iterator[Service]:
    with running_service({**SETTINGS, **{k: str(v) for k, v in settings.items()}}) as service:
        yield service


@contextmanager
def full_disk(service: Service, size: int) -> Iterator[None]:
    """A disk that takes no file of the server's beyond a size."""
    server = psutil.Process(service.server.pid)
    before = server.rlimit(psutil.RLIMIT_FSIZE)
    server.rlimit(psutil.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        server.rlimit(psutil.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def almost_full() -> Iterator[Service]:
    """A service that wants more space than there is."""
    with service_with(ENTRANCE_MIN_FREE_BYTES=2**60) as service:
        yield service


@pytest.fixture(scope="module")
def strict() -> Iterator[Service]:
    """A service that lets a job keep little."""
    limits = {"ENTRANCE_MAX_LOG_BYTES": 100 * KIB, "ENTRANCE_MAX_RESULT_BYTES": 100 * KIB}
    with service_with(**limits) as service:
        yield service


class TestAlmostFull:
    def test_new_jobs_are_refused_in_both_protocols_with_what_to_do(
        self, almost_full: Service
    ) -> None:
        request = pb.SubmitRequest(
            execution_content=pb.ExecutionContent(code=":", run_type="shell"),
            labels={"engineType": "shell"},
        )
        refusal = almost_full.alice.rpc.refusal("Submit", request)
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.reason == "DISK_ALMOST_FULL"
        assert "Submit again later" in refusal.message
        form = labels_form(":", "shell", "shell")
        answer = almost_full.alice.rest.http.post(f"{ROOT}/submit", json=form)
        assert answer.status_code == 429
        assert answer.headers["retry-after"]
        assert answer.json()["message"] == refusal.message

    def test_all_else_is_answered(self, almost_full: Service) -> None:
        assert list(almost_full.alice.client.list_jobs()) == []
        assert almost_full.alice.client.engines()


def test_a_running_job_waits_for_space_and_loses_no_line(strict: Service) -> None:
    go = strict.directory / "go"
    code = (
        f"echo started; until [ -e {go} ]; do sleep 0.02; done;"
        "for i in $(seq 500); do printf '%0100d\\n' $i; done"
    )
    job = strict.alice.client.submit(code, engine="shell", creator=new_creator())
    said(job, "started")
    with full_disk(strict, 32 * KIB):
        go.touch()
        until(lambda: "waiting for storage" in strict.server.output.read_text(), "it waits")
        assert job.status() is JobStatus.RUNNING
        assert len(printed(job)) < 501
    ended(job, JobStatus.SUCCEED)
    assert [int(text) for text in printed(job)[1:]] == list(range(1, 501))
    assert [line.number for line in log_lines(job)] == list(range(1, len(texts(job)) + 1))


def test_a_job_killed_while_its_log_was_away_has_no_line_after_its_end() -> None:
    with service_with(ENTRANCE_GROUP_RUNNING=1) as service:
        in_the_way = service.data_dir / "jobs" / "0"
        in_the_way.parent.mkdir(exist_ok=True)
        in_the_way.write_text("")  # no log can be made below
        client = service.alice.client
        job = client.submit("echo never", engine="shell")
        until(lambda: job.status() is JobStatus.SCHEDULED, "its turn")
        job.kill()
        in_the_way.unlink()
        # the next one's turn comes when nothing of the first is under way any more
        ended(client.submit("exit 0", engine="shell"), JobStatus.SUCCEED)
        assert list(job.follow_log()) == []


class TestLimitsOfAJob:
    def test_a_log_beyond_its_limit_is_cut_with_a_line_and_the_job_goes_on(
        self, strict: Service
    ) -> None:
        job = strict.alice.client.submit(f"{LARGE}; exit 7", engine="shell", creator=new_creator())
        ended(job, JobStatus.FAILED)
        kept = printed(job)
        assert 0 < len(kept) < 3000
        assert [int(text) for text in kept] == list(range(1, len(kept) + 1))
        (warning,) = (text for text in texts(job) if "as much as one job may have" in text)
        assert "WARN The log has 100 KiB" in warning
        assert "ERROR Your job has ended: Failed" in texts(job)[-1]

    def test_a_result_beyond_the_limit_is_not_kept_and_the_others_are(
        self, strict: Service
    ) -> None:
        noise = " || ".join(["md5(random()::VARCHAR)"] * 4)  # what does not compress well
        code = f"SELECT 1 AS a; SELECT {noise} AS b FROM range(5000); SELECT 2 AS c"
        job = strict.alice.client.submit(code, engine="duckdb", creator=new_creator())
        ended(job, JobStatus.SUCCEED)
        assert [result.index for result in job.results()] == [0, 2]
        (error,) = (text for text in texts(job) if "was not kept" in text)
        assert "select fewer rows or columns" in error


class TestRetention:
    def test_what_ended_jobs_left_is_removed_by_age_and_every_answer_says_so(self) -> None:
        with service_with(**OFTEN, ENTRANCE_RETENTION_AGE=0.1) as service:
            alice = service.alice
            running = alice.client.submit("echo on; sleep 1000", engine="shell")
            said(running, "on")
            job = alice.client.submit("SELECT 42 AS answer", engine="duckdb")
            job.wait()
            until(lambda: job.get().removed_time, "its files are removed")

            assert job.status() is JobStatus.SUCCEED
            assert job.get().result_count == 1
            for read in (job.log, job.results, lambda: list(job.follow_log())):
                with pytest.raises(NotFound, match="removed at") as caught:
                    read()
                assert caught.value.reason == "REMOVED_BY_RETENTION"
            answer = alice.rest.get(f"{job.task_id}/log")
            assert "The log of job" in answer.message
            assert "removed at" in answer.message
            http = alice.rest.http
            task = http.get(f"{BASE}/jobhistory/{job.task_id}/get").json()["data"]["task"]
            for name, path in (
                ("openLog", task["logPath"]),
                ("getDirFileTrees", task["resultLocation"]),
                ("openFile", f"{task['resultLocation']}/_0.dolphin"),
            ):
                opened = http.get(f"{BASE}/filesystem/{name}", params={"path": path}).json()
                assert (opened["status"], "removed at" in opened["message"]) == (1, True), opened
            told = alice.command.run("result", str(job.task_id))
            assert "The results of job" in told.stderr.replace("\n", " ")
            # the one that runs keeps what it has, however old that is
            assert "on" in texts(running)

    def test_the_longest_ended_go_first_when_there_is_too_much(self) -> None:
        limit = {"ENTRANCE_RETENTION_BYTES": 4096 * KIB, "ENTRANCE_RETENTION_SPARED": 0}
        with service_with(**OFTEN, **limit) as service:
            creator = new_creator()
            jobs = []
            for _ in range(3):  # each about 3 MiB
                job = service.alice.client.submit(LARGE, engine="shell", creator=creator)
                job.wait()
                jobs.append(job)
            until(lambda: jobs[1].get().removed_time, "the second one is removed")
            assert jobs[0].get().removed_time
            assert len(printed(jobs[2])) == 3000
            assert len(list((service.data_dir / "jobs" / "0").iterdir())) == 1
