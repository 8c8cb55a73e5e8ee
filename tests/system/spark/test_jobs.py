"""Jobs on a real Spark, by gRPC and by REST."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from entrance.client import InvalidArgument, JobHandle, JobParams, JobStatus
from tests.support.footprint import gone
from tests.support.jobs import ended, new_creator, reason_of_failure, texts
from tests.support.service import SETTINGS, Service, running_service
from tests.support.spark import EXECUTOR_MEMORY, SparkCluster
from tests.support.waiting import until
from tests.system.spark.code import slow_query

NEVER_ENDING = slow_query(100, rows=1000)


@pytest.fixture(scope="module")
def service(spark: SparkCluster) -> Iterator[Service]:
    """A service whose jobs run on that Spark, which bob may not use."""
    cluster = {"engine": "spark", "url": spark.remote, "users": ["alice"]}
    settings = {
        "ENTRANCE_CONNECTIONS": json.dumps({"cluster": cluster}),
        "ENTRANCE_ENGINE_DEFAULTS": json.dumps({"spark": {"spark.connection": "cluster"}}),
        "ENTRANCE_KILL_GRACE": "3",
    }
    with running_service({**SETTINGS, **settings}) as service:
        yield service


def submit(service: Service, code: str, **more: Any) -> JobHandle:
    """A SQL job of alice's."""
    params = JobParams(startup=more.pop("startup", {}))
    options = {"run_type": "sql", "params": params, **more}
    return service.alice.client.submit(code, engine="spark", **options)


def stage_progress(service: Service, job: JobHandle) -> dict[str, Any] | None:
    """What REST tells of a job's progress, once tasks of a stage are done and others run."""
    data = service.alice.rest.get(f"{job.exec_id}/progressWithResource").data
    stages = [one for one in data["progressInfo"] if one["id"].startswith("stage-")]
    begun = any(one["succeedTasks"] > 0 < one["runningTasks"] for one in stages)
    return data if begun else None


def test_a_job_shows_its_stages_is_killed_and_runs_again(
    service: Service, spark: SparkCluster
) -> None:
    killed = submit(service, slow_query(40, rows=8))
    shown = until(lambda: stage_progress(service, killed), "a stage has progress by REST")
    assert 0 < shown["progress"] < 1
    by_grpc = killed.progress()
    (stage,) = [
        one for one in by_grpc.stages if one.id.startswith("stage-") and one.total_tasks == 40
    ]
    assert stage.succeed_tasks > 0
    (resource,) = shown["yarnMetrics"]["yarnResource"]
    assert resource["applicationId"] == spark.application
    assert resource["queueMemory"] == EXECUTOR_MEMORY
    assert spark.running_jobs()
    killed.kill()
    ended(killed, JobStatus.CANCELLED)
    until(lambda: not spark.running_jobs(), "nothing of the killed job runs on the cluster")

    again = submit(service, slow_query(4, rows=2))
    ended(again, JobStatus.SUCCEED)
    assert again.result().to_arrow().to_pylist() == [{"n": 8}]
    assert service.alice.rest.get(f"{again.exec_id}/results/0").data["rows"] == [["8"]]


def test_python_is_killed_on_the_cluster_too(service: Service, spark: SparkCluster) -> None:
    job = submit(service, f"spark.sql({NEVER_ENDING!r}).collect()", run_type="py")
    until(spark.running_jobs, "the query runs")
    job.kill()
    ended(job, JobStatus.CANCELLED)
    until(lambda: not spark.running_jobs(), "nothing of the killed job runs on the cluster")


def test_a_job_is_killed_in_time_though_spark_does_not_answer(
    service: Service, spark: SparkCluster
) -> None:
    job = submit(service, NEVER_ENDING, creator=new_creator())
    until(spark.running_jobs, "the query runs")
    spark.freeze_connect()
    try:
        job.kill()
        ended(job, JobStatus.CANCELLED)
    finally:
        spark.thaw_connect()
    until(lambda: not spark.running_jobs(), "Spark ends the query when it lives again")


def test_jobs_share_a_session_that_is_released_when_it_ends(
    service: Service, spark: SparkCluster
) -> None:
    creator = new_creator()
    first = submit(service, "create temp view mine as select 7 n", creator=creator)
    ended(first, JobStatus.SUCCEED)
    second = submit(service, "select n from mine", creator=creator)
    ended(second, JobStatus.SUCCEED)
    assert second.result().to_arrow().to_pylist() == [{"n": 7}]
    other = submit(service, "select n from mine", creator=new_creator())
    ended(other, JobStatus.FAILED)


def test_sessions_end_with_their_spark_and_the_next_jobs_have_new_ones(
    service: Service, spark: SparkCluster
) -> None:
    busy, idle = new_creator(), new_creator()
    ended(first := submit(service, "select 1 n", creator=idle), JobStatus.SUCCEED)
    waiting = service.footprint.runners(first.get().session_id)
    lost = submit(service, NEVER_ENDING, creator=busy)
    until(spark.running_jobs, "the query runs")
    spark.connect.kill()
    ended(lost, JobStatus.FAILED)
    assert "Spark is lost: " in texts(lost)[-1]
    error = lost.get().error
    assert error is not None
    assert error.code == 40002  # after which a job is tried again if it asks for that

    refused = submit(service, "select 1", creator=busy)
    assert "Spark can't be reached at 127.0.0.1:" in reason_of_failure(service.alice, refused)
    until(lambda: gone(one.pid for one in waiting), "the idle session sees its end")

    spark.start_connect()
    for creator in (busy, idle):
        ended(submit(service, "select 1 n", creator=creator), JobStatus.SUCCEED)


def test_a_master_that_dies_stops_no_job_and_what_gets_no_room_then_can_be_killed(
    service: Service, spark: SparkCluster
) -> None:
    job = submit(service, slow_query(16, rows=4))
    until(spark.running_jobs, "the query runs")
    spark.master.kill()
    try:
        ended(job, JobStatus.SUCCEED)
        ended(submit(service, "select 1 n"), JobStatus.SUCCEED)
        spark.worker.kill()  # of which there will be no other one
        stuck = submit(service, NEVER_ENDING)
        until(spark.running_jobs, "the query waits for an executor")
        stuck.kill()
        ended(stuck, JobStatus.CANCELLED)
    finally:
        spark.close()
        spark.start()
    ended(submit(service, "select 1 n", creator=new_creator()), JobStatus.SUCCEED)


@pytest.mark.parametrize("remote", ["http://127.0.0.1:1", "sc://", "sc://host/path"])
def test_what_is_no_url_of_spark_is_refused_at_submit(service: Service, remote: str) -> None:
    with pytest.raises(InvalidArgument, match=r"spark\.remote must be text such as sc://host"):
        submit(service, "select 1", startup={"spark.remote": remote})


def test_a_setting_of_sql_acts_on_the_session(service: Service) -> None:
    startup = {"spark.sql.session.timeZone": "Asia/Tokyo"}
    job = submit(service, "select current_timezone() zone", startup=startup)
    ended(job, JobStatus.SUCCEED)
    assert job.result().to_arrow().to_pylist() == [{"zone": "Asia/Tokyo"}]
    wrong = submit(service, "select 1", startup={"spark.sql.warehouse.dir": "/tmp"})
    ended(wrong, JobStatus.FAILED)
    assert "Spark refuses the setting spark.sql.warehouse.dir" in texts(wrong)[-1]


def test_where_connections_are_named_nobody_chooses_another_spark(
    service: Service, spark: SparkCluster
) -> None:
    with pytest.raises(InvalidArgument, match=r"spark\.remote can't be set here"):
        submit(service, "select 1", startup={"spark.remote": spark.remote})
    with pytest.raises(InvalidArgument, match="there is no connection of engine spark for bob"):
        service.bob.client.submit("select 1", engine="spark", run_type="sql")
