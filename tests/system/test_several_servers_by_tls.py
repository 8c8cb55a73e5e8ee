"""Servers, gateways and clients of one installation that speak by TLS alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest
import trustme

from entrance.client import Client, DeadlineExceeded, JobHandle, JobStatus
from tests.support.certificates import Certified
from tests.support.cluster import Cluster, Server, running_cluster
from tests.support.postgres import Postgres, new_database
from tests.support.waiting import until

COUNTING = "for i in $(seq 1 100); do echo line $i; sleep 0.05; done"
WAITING = "echo begun; sleep 600"


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    """What all programs of the installation have."""
    return Certified(tmp_path / "own")


def settings_of(certified: Certified) -> Mapping[str, str]:
    """Servers that have a certificate, and ask callers and each other for one."""
    return {
        "ENTRANCE_LEASE_SECONDS": "5",  # which a busy machine renews in time
        "ENTRANCE_TLS_CERT": str(certified.certificate),
        "ENTRANCE_TLS_KEY": str(certified.key),
        "ENTRANCE_TLS_CLIENT_CA": str(certified.authorities),
        "ENTRANCE_PEER_TLS_CA": str(certified.authorities),
        "ENTRANCE_GATEWAY_SERVER_TLS_CA": str(certified.authorities),
        "ENTRANCE_GATEWAY_SERVER_TLS_CERT": str(certified.certificate),
        "ENTRANCE_GATEWAY_SERVER_TLS_KEY": str(certified.key),
    }


@pytest.fixture
def cluster(postgres: Postgres, certified: Certified) -> Iterator[Cluster]:
    with (
        new_database(postgres) as url,
        running_cluster(
            url, servers=2, gateways=1, settings=settings_of(certified), tls=certified.files
        ) as cluster,
    ):
        yield cluster


def submit(cluster: Cluster, server: Server, code: str) -> JobHandle:
    job = cluster.client(server).submit(code, engine="shell")
    until(lambda: job.status() is JobStatus.RUNNING, "the job runs")
    return job


def test_any_of_them_answers_for_any_job(cluster: Cluster) -> None:
    jobs = [submit(cluster, server, WAITING) for server in cluster.servers]
    (gateway,) = cluster.gateways
    rest = cluster.rest(gateway)
    for job, server in itertools.product(jobs, cluster.servers):
        assert cluster.client(server).job(job.task_id).status() is JobStatus.RUNNING
        assert rest.get(f"{job.exec_id}/status").data["status"] == "Running"
    cluster.client(cluster.servers[0]).kill_jobs([job.task_id for job in jobs])
    assert {job.status() for job in jobs} == {JobStatus.CANCELLED}


def test_streams_go_on_when_a_server_is_killed(cluster: Cluster) -> None:
    doomed, other = cluster.servers
    (gateway,) = cluster.gateways
    job = submit(cluster, doomed, COUNTING)
    followed = cluster.client(other).job(job.task_id).follow_log()
    events = cluster.rest(gateway).events(f"{job.task_id}/log/stream")
    lines, seen = [next(followed)], [next(events)]
    doomed.kill()
    lines.extend(followed)
    seen.extend(events)
    told = [line for event in seen if event.name == "log" for line in event.data["lines"]]
    assert told == [line.text for line in lines]
    assert [text for text in told if text.startswith("line ")] == [
        f"line {n}" for n in range(1, 101)
    ]
    doomed.start()


def test_new_certificates_by_another_authority_are_used_between_servers_too(
    cluster: Cluster, certified: Certified
) -> None:
    # a lease that is longer than a start, so that the other one keeps its connection
    first, second = cluster.new_server("longer", ENTRANCE_LEASE_SECONDS="60"), cluster.servers[0]
    first.start()
    job = submit(cluster, first, WAITING)
    assert cluster.client(second).job(job.task_id).status() is JobStatus.RUNNING
    certified.renew(trustme.CA())
    first.kill()
    first.start()
    seen = cluster.client(second).job(job.task_id)
    assert seen.status() is JobStatus.RUNNING
    seen.kill()


def test_a_server_whose_certificate_the_others_do_not_trust_is_told_in_their_logs(
    cluster: Cluster, certified: Certified, tmp_path: Path
) -> None:
    stranger = Certified(tmp_path / "stranger")
    strange = cluster.new_server("strange", **settings_of(stranger))
    strange.start()
    asked = cluster.servers[0]
    with Client(strange.target, token=cluster.token, credentials=credentials_of(stranger)) as own:
        job = own.submit(WAITING, engine="shell")
        with (
            Client(
                asked.target,
                token=cluster.token,
                credentials=credentials_of(certified),
                deadline=2,
            ) as client,
            pytest.raises(DeadlineExceeded),
        ):
            client.job(job.task_id).status()
        job.kill()
    logged = asked.daemon.output.read_text().splitlines()
    told = next(line for line in logged if "server not reached" in line)
    assert strange.target in told
    assert "CERTIFICATE_VERIFY_FAILED" in told


def credentials_of(certified: Certified) -> grpc.ChannelCredentials:
    return certified.files.read().channel_credentials()
