"""The Spark that a service starts when jobs name none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from entrance.client import JobStatus
from tests.support.footprint import gone
from tests.support.jobs import ended, new_creator
from tests.support.service import SETTINGS, Service, running_service
from tests.support.waiting import until
from tests.system.spark.conftest import require_spark


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that has no Spark; it must leave none behind."""
    require_spark()
    with running_service({**SETTINGS, "ENTRANCE_SESSION_OPEN_TIMEOUT": "60"}) as service:
        yield service


def run(service: Service, code: str, *, run_type: str = "sql") -> Any:
    """The rows of a job of its own session."""
    client = service.alice.client
    job = client.submit(code, engine="spark", run_type=run_type, creator=new_creator())
    ended(job, JobStatus.SUCCEED)
    return job.result().to_arrow().to_pylist()


def local_spark(service: Service) -> dict[str, Any]:
    """What the local Spark told of itself."""
    (file,) = (service.data_dir / "companions").glob("*/ready.json")
    assert file.stat().st_mode & 0o077 == 0
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def test_jobs_share_a_local_spark_that_outlives_the_server_and_ends_with_the_service(
    service: Service,
) -> None:
    assert run(service, "select 1 n") == [{"n": 1}]
    first = local_spark(service)
    (java,) = psutil.Process(first["pid"]).children()
    listening = [
        one.laddr for one in java.net_connections("tcp") if one.status == psutil.CONN_LISTEN
    ]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert first["secrets"]["password"] not in " ".join(java.cmdline())

    service.restart_server()
    code = "from pyspark.sql import functions as F\n"
    code += "spark.range(1).select(F.udf(lambda n: n + 1, 'int')('id').alias('n'))"
    assert run(service, code, run_type="py") == [{"n": 1}]
    assert local_spark(service) == first

    service.stop()
    until(lambda: gone([java.pid, first["pid"]]), "the local Spark ends without being told")
