"""A store that does not answer when servers start, or while they work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import psycopg
import pytest

from entrance.client import JobHandle, JobStatus
from entrance.v1 import entrance_pb2 as pb
from tests.support.cluster import Cluster, Server, running_cluster
from tests.support.door import Door
from tests.support.postgres import Postgres, new_database
from tests.support.rest import labels_form
from tests.support.waiting import until

COUNTING = "for i in $(seq 1 100); do echo line $i; sleep 0.05; done"
AWAY = "he service can't reach its storage now"
LONG_LEASE = "60"  # seconds: longer than any store is away here
SUBMIT = pb.SubmitRequest(
    execution_content=pb.ExecutionContent(code="echo", run_type="shell"),
    labels={"engineType": "shell"},
)


@pytest.fixture
def door(postgres: Postgres) -> Iterator[Door]:
    """The way of servers to PostgreSQL."""
    door = Door(postgres.port)
    door.open()
    yield door
    door.shut()


@pytest.fixture
def cluster(postgres: Postgres, door: Door) -> Iterator[Cluster]:
    """A server behind the door, and a gateway."""
    with new_database(postgres) as url:
        by_door = url.replace(f":{postgres.port}/", f":{door.port}/")
        settings = {"ENTRANCE_STORE_URL": by_door, "ENTRANCE_LEASE_SECONDS": LONG_LEASE}
        with running_cluster(url, servers=1, gateways=1, settings=settings) as cluster:
            yield cluster


def test_callers_are_told_by_both_protocols_and_a_job_that_runs_loses_nothing(
    cluster: Cluster, door: Door
) -> None:
    (server,), (gateway,) = cluster.servers, cluster.gateways
    rpc, rest = cluster.rpc(server), cluster.rest(gateway)
    before = cluster.client(server).submit("echo done", engine="shell")
    before.wait(60)
    job = cluster.client(server).submit(COUNTING, engine="shell")
    until(lambda: "line 5" in str(job.log()), "it prints")
    pid = server.daemon.pid
    door.shut()
    try:
        for name, request in (
            ("Submit", SUBMIT),
            ("GetJob", pb.GetJobRequest(id=before.exec_id)),
            ("ListJobs", pb.ListJobsRequest()),
        ):
            refusal = rpc.refusal(name, request)
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            assert refusal.reason in ("STORAGE_UNAVAILABLE", "NOT_PERSISTED")
            assert "the service can't reach its storage now" in refusal.message.replace(
                "The", "the"
            )
            assert "127.0.0.1" not in refusal.message
        for answer in (
            rest.post("submit", labels_form("echo", "shell", "shell")),
            rest.get(f"{before.exec_id}/log"),
        ):
            assert (answer.http, answer.status) == (503, 1)
            assert AWAY in answer.message
    finally:
        door.open()
    assert job.wait(60).status is JobStatus.SUCCEED
    assert printed(job) == [f"line {n}" for n in range(1, 101)]
    assert server.daemon.pid == pid
    assert "lease has ended" not in told(server)


def printed(job: JobHandle) -> list[str]:
    return [line.text for line in job.follow_log() if line.text.startswith("line ")]


def test_a_server_waits_for_a_store_that_comes_a_little_later(cluster: Cluster, door: Door) -> None:
    late = cluster.new_server("late", ENTRANCE_STORE_WAIT="60")
    door.shut()
    with ThreadPoolExecutor(1) as starting:
        started = starting.submit(late.start)
        until(lambda: "waiting for the store" in told(late), "it waits")
        door.open()
        started.result()
    assert cluster.client(late).engines()


def test_a_server_whose_store_stays_away_does_not_start_and_says_why(
    cluster: Cluster, door: Door
) -> None:
    alone = cluster.new_server("alone", ENTRANCE_STORE_WAIT="0.5")
    door.shut()
    try:
        said = refused(alone)
    finally:
        door.open()
    assert f"port {door.port} failed: Connection refused" in said


def test_a_server_does_not_start_on_a_store_that_a_newer_release_has_written(
    cluster: Cluster,
) -> None:
    with psycopg.connect(cluster.store_url) as connection:
        (before,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ()
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    said = refused(cluster.new_server("older"))
    assert "The database has schema revision 9999, which this release does not know" in said
    with psycopg.connect(cluster.store_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [before])


def refused(server: Server) -> str:
    """What a server says that does not start."""
    with pytest.raises(AssertionError, match="ended at its start"):
        server.start()
    assert server.daemon.process.returncode == 1
    said = told(server)
    assert "Traceback" not in said
    return said


def told(server: Server) -> str:
    output = server.daemon.output
    return output.read_text() if output.exists() else ""
