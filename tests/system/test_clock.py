"""A system's clock that is set while the service runs: limits, logins and ages stay true."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from entrance.client import JobHandle, JobStatus
from entrance.v1 import entrance_pb2 as pb
from tests.support.identities import WebClient, new_user
from tests.support.jobs import ended, new_creator, printed, said
from tests.support.service import SETTINGS, Service, running_service
from tests.support.settable_clock import SettableClock, forget
from tests.support.waiting import until

HOUR, DAY, YEAR = 3600, 24 * 3600, 365 * 24 * 3600  # seconds
LEAPS = (YEAR, -DAY)
LIMITS = {"jobRunningTimeout": str(HOUR), "jobQueuingTimeout": str(HOUR)}
FOREVER = "echo started; sleep 1000"
RETENTION = {"ENTRANCE_RETENTION_AGE": str(HOUR), "ENTRANCE_RETENTION_INTERVAL": "1"}


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> SettableClock:
    clock = SettableClock(tmp_path_factory.mktemp("clock") / "ahead")
    if not clock.works:
        pytest.skip("a program's clock can't be set here")
    return clock


@pytest.fixture(scope="module")
def service(clock: SettableClock) -> Iterator[Service]:
    with running_service({**SETTINGS, **RETENTION, **clock.environment}) as service:
        yield service


@pytest.fixture(autouse=True)
def _true_again(clock: SettableClock, service: Service) -> Iterator[None]:
    yield
    leap(clock, service, 0)


def leap(clock: SettableClock, service: Service, ahead: int) -> None:
    """Sets the clock, and waits until the server goes by it, as its audit log shows."""
    clock.set(ahead)
    audit = service.data_dir / "audit.log"

    def is_seen() -> bool:
        service.admin.rpc.refusal("Resume", pb.ResumeRequest(id="999999999"))
        last = json.loads(audit.read_text().splitlines()[-1])
        off = datetime.fromisoformat(last["time"]) - datetime.now(UTC)
        return abs(off.total_seconds() - ahead) < HOUR / 2

    until(is_seen, "the server sees that its clock was set")


def restart(service: Service) -> None:
    pid = service.server.pid
    service.restart_server()
    forget(pid)


def is_measured(service: Service, job: JobHandle) -> bool:
    """Whether the retention has seen that a job ended."""
    with contextlib.closing(sqlite3.connect(service.data_dir / "entrance.db")) as store:
        asked = "SELECT stored_bytes IS NOT NULL FROM jobs WHERE task_id = ?"
        return bool(store.execute(asked, (job.task_id,)).fetchone()[0])


def started(service: Service) -> JobHandle:
    job = service.alice.client.submit(FOREVER, engine="shell", creator=new_creator(), labels=LIMITS)
    said(job, "started")
    return job


@pytest.mark.parametrize("ahead", LEAPS)
def test_a_time_limit_is_not_reached_by_it(
    clock: SettableClock, service: Service, ahead: int
) -> None:
    job = started(service)
    leap(clock, service, ahead)
    for _ in range(2):
        job.pause()
        job.resume()  # the limit is reckoned anew
        restart(service)  # and so it is by another server
    assert job.status() is JobStatus.RUNNING
    job.kill()


def test_the_times_of_a_job_stay_in_order(clock: SettableClock, service: Service) -> None:
    leap(clock, service, DAY)
    job = started(service)
    leap(clock, service, -DAY)
    restart(service)
    job.kill()
    found = job.get()
    assert found.create_time
    assert found.start_time
    assert found.end_time
    assert found.create_time <= found.start_time <= found.end_time
    assert found.end_time - found.create_time < timedelta(hours=1)


@pytest.mark.parametrize("ahead", LEAPS)
def test_a_login_outlives_it(clock: SettableClock, service: Service, ahead: int) -> None:
    with WebClient(service) as web:
        web.log_in(new_user(service))
        leap(clock, service, ahead)
        assert web.get("/user/userInfo").status == 0
        restart(service)
        assert web.get("/user/userInfo").status == 0


def test_nothing_is_removed_for_an_age_that_it_does_not_have(
    clock: SettableClock, service: Service
) -> None:
    job = service.alice.client.submit("echo done", engine="shell", creator=new_creator())
    ended(job, JobStatus.SUCCEED)
    leap(clock, service, YEAR)
    restart(service)
    later = service.alice.client.submit("true", engine="shell", creator=new_creator())
    ended(later, JobStatus.SUCCEED)
    until(lambda: is_measured(service, later), "the retention has gone round")
    assert printed(job) == ["done"]
    assert job.get().status is JobStatus.SUCCEED
