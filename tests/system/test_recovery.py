"""The service gets over what a crash left behind, and over storage that is away for a while."""

from __future__ import annotations

import pytest

from entrance.client import JobStatus
from tests.support.footprint import gone
from tests.support.jobs import became, ended, new_creator, printed
from tests.support.service import Service
from tests.support.waiting import until


def _sessions_with_files(service: Service) -> set[str]:
    return {path.name for path in (service.data_dir / "sessions").iterdir()}


def _sessions_that_live(service: Service) -> set[str]:
    found = _sessions_with_files(service)
    return {name for name in found if service.footprint.runners(name)}


def test_files_of_runners_that_died_with_the_server_are_removed_at_its_next_start(
    own_service: Service,
) -> None:
    client = own_service.alice.client
    ended(client.submit("echo done", engine="shell"), JobStatus.SUCCEED)
    job = client.submit("import time; time.sleep(1000)", engine="python", creator=new_creator())
    became(job, JobStatus.RUNNING)
    assert list((own_service.data_dir / "jobs" / "staging").iterdir())
    before = _sessions_with_files(own_service)
    own_service.server.kill()
    own_service.footprint.kill_runners()
    own_service.start_server()
    ended(job, JobStatus.FAILED)
    until(
        lambda: _sessions_with_files(own_service) == _sessions_that_live(own_service),
        "only living runners have files",
    )
    assert not before & _sessions_with_files(own_service)
    assert list((own_service.data_dir / "jobs" / "staging").iterdir()) == []


def test_a_job_starts_in_another_session_when_the_waiting_runner_was_lost(
    own_service: Service,
) -> None:
    until(own_service.footprint.runners, "a warm runner waits")
    own_service.footprint.kill_runners()
    job = own_service.alice.client.submit("echo done", engine="shell")
    ended(job, JobStatus.SUCCEED)
    assert printed(job) == ["done"]


@pytest.mark.parametrize(("engine", "code"), [("duckdb", "SELECT 1"), ("python", "1 + 1")])
def test_a_session_whose_engine_died_while_idle_is_given_to_no_job(
    own_service: Service, engine: str, code: str
) -> None:
    client = own_service.alice.client
    first = client.submit(code, engine=engine)
    ended(first, JobStatus.SUCCEED)
    session = first.get().session_id
    runners = [process.pid for process in own_service.footprint.runners(session)]
    for process in own_service.job_processes(first):
        process.kill()
    until(lambda: gone(runners), "its runner ends")
    second = client.submit(code, engine=engine)
    ended(second, JobStatus.SUCCEED)
    assert second.get().session_id != session


def test_a_job_waits_for_the_disk_before_it_runs(own_service: Service) -> None:
    staging = own_service.data_dir / "jobs" / "staging"
    staging.parent.mkdir(exist_ok=True)
    if staging.exists():
        staging.rmdir()
    staging.write_text("in the way")
    job = own_service.alice.client.submit("SELECT 42", engine="duckdb")
    until(
        lambda: "waiting for storage" in own_service.server.output.read_text(),
        "the service tells that it waits",
    )
    assert not job.status().is_final
    staging.unlink()
    ended(job, JobStatus.SUCCEED)
    assert job.get().result_count == 1
