"""One service for each installation, and a job in it that is attacked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from entrance.client import JobHandle, JobStatus
from tests.support.jobs import ended, said
from tests.support.service import Service
from tests.system.isolation.attempts import Target
from tests.system.isolation.services import INSTALLATIONS, Installation, started


@pytest.fixture(scope="module", params=INSTALLATIONS, ids=str)
def installation(request: pytest.FixtureRequest) -> Installation:
    """Each that can be had here."""
    installation: Installation = request.param
    if not installation.is_possible:
        pytest.skip("only root can run code as other users")
    return installation


@pytest.fixture(scope="module")
def service(installation: Installation) -> Iterator[Service]:
    with started(installation) as service:
        yield service


@pytest.fixture(scope="module")
def target(service: Service) -> Target:
    """A running job of bob's, and the result of one that has ended."""
    job = service.bob.client.submit(
        "echo words > private; echo the words of bob; sleep 1000", engine="shell"
    )
    said(job, "the words of bob")
    queried = service.bob.client.submit("select 'of bob'", engine="duckdb")
    ended(queried, JobStatus.SUCCEED)
    session = job.get().session_id
    _, runner, starter = service.footprint.runners(session)
    (sleeping,) = (one for one in service.job_processes(job) if "sleep" in one.cmdline())
    return Target(
        server=_server(service),
        runner=runner.pid,
        starter=starter.pid,
        job=sleeping.pid,
        socket=str(next((service.root / "tmp").rglob(session))),
        store=str(service.data_dir / "entrance.db"),
        token=str(service.data_dir / "admin.token"),
        log=str(_log(service, job)),
        result=str(next((service.data_dir / "jobs").rglob("*.parquet"))),
        session_file=str(service.session_directory(job) / "work" / "private"),
    )


def _server(service: Service) -> int:
    assert "entrance_server" in psutil.Process(service.server.pid).cmdline()
    return service.server.pid


def _log(service: Service, job: JobHandle) -> Path:
    files = [path for path in (service.data_dir / "jobs").rglob("*") if path.is_file()]
    return next(path for path in files if b"the words of bob" in path.read_bytes())
