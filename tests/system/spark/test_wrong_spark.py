"""What is said where there is no Spark, or one that does not fit; needs no Java."""

# mypy: disallow-untyped-calls=false

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from tests.support.jobs import reason_of_failure
from tests.support.ports import free_port
from tests.support.service import SETTINGS, running_service
from tests.support.spark import HOST
from tests.system.runner.client import RunnerClient, started_runner

with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of pandas
    from pyspark.sql.connect.proto import AnalyzePlanRequest, AnalyzePlanResponse
    from pyspark.sql.connect.proto.base_pb2_grpc import (
        SparkConnectServiceServicer,
        add_SparkConnectServiceServicer_to_server,
    )


class OldSpark(SparkConnectServiceServicer):
    """A Connect server that knows no more than its version."""

    def AnalyzePlan(
        self, request: AnalyzePlanRequest, context: grpc.ServicerContext
    ) -> AnalyzePlanResponse:
        version = AnalyzePlanResponse.SparkVersion(version="3.5.9")
        return AnalyzePlanResponse(session_id=request.session_id, spark_version=version)


@pytest.fixture
def old_spark() -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    add_SparkConnectServiceServicer_to_server(OldSpark(), server)
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    yield f"sc://{HOST}:{port}"
    server.stop(None).wait()


async def refusal(runner: RunnerClient, remote: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await runner.open("spark", options={"spark.remote": remote})
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return str(caught.value.details())


async def test_a_spark_of_another_major_version_is_refused(tmp_path: Path, old_spark: str) -> None:
    async with started_runner(tmp_path) as runner:
        said = await refusal(runner, old_spark)
        assert "does not fit: it is version 3.5.9, and the client here 4." in said


def test_a_job_on_such_a_spark_tells_so_by_both_protocols(old_spark: str) -> None:
    defaults = json.dumps({"spark": {"spark.remote": old_spark}})
    with running_service({**SETTINGS, "ENTRANCE_ENGINE_DEFAULTS": defaults}) as service:
        job = service.alice.client.submit("select 1", engine="spark", run_type="sql")
        said = reason_of_failure(service.alice, job)
    assert "does not fit: it is version 3.5.9, and the client here 4." in said


async def test_a_place_without_a_spark_is_named(tmp_path: Path) -> None:
    port = free_port()
    async with started_runner(tmp_path) as runner:
        said = await refusal(runner, f"sc://{HOST}:{port}")
        assert said == f"Spark can't be reached at {HOST}:{port}: Connection refused"
        said = await refusal(runner, "sc://nowhere.invalid:15002")
        assert said.startswith("Spark can't be reached at nowhere.invalid:15002: ")
