"""Runners on the nodes of a Ray cluster: jobs like any other, and what faults do to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from entrance.client import InvalidArgument, JobHandle, JobParams, JobStatus
from tests.support.cluster import running_cluster
from tests.support.footprint import gone
from tests.support.jobs import ended, new_creator, printed, reason_of_failure, said, texts
from tests.support.postgres import Postgres, new_database
from tests.support.ray_cluster import RayCluster, ray_cluster
from tests.support.service import SETTINGS, Service, running_service
from tests.support.waiting import until

HANGING = "echo started $$; sleep 1000"
COUNTING = "for i in $(seq 1 200); do echo line $i; sleep 0.05; done"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


@contextmanager
def on_ray(address: str, **settings: str) -> Iterator[Service]:
    chosen = {
        "ENTRANCE_LAUNCHER": "ray",
        "ENTRANCE_RAY_ADDRESS": address,
        "ENTRANCE_RETRY_DELAY": "0.2",
    }
    with running_service({**SETTINGS, **chosen, **settings}) as service:
        yield service


@pytest.fixture(scope="module")
def service(cluster: RayCluster) -> Iterator[Service]:
    with on_ray(cluster.address) as service:
        yield service
    if cluster.lives:
        until(lambda: cluster.actors() == [], "no actor is left when all sessions are closed")


def submit(
    service: Service, code: str, *, startup: Mapping[str, str] | None = None, **labels: str
) -> JobHandle:
    """A job with a session of its own."""
    return service.alice.client.submit(
        code,
        engine="shell",
        creator=new_creator(),
        labels=labels,
        params=JobParams(startup=startup or {}),
    )


def began(job: JobHandle) -> int:
    """Waits until a HANGING job runs; its process."""
    return int(until(lambda: printed(job), f"job {job.task_id} runs")[0].split()[1])


def sessions_on(cluster: RayCluster) -> set[str]:
    return {name.rpartition("/")[2] for name in cluster.actors()}


def test_a_job_runs_in_an_actor_and_gives_its_result_by_both_protocols(
    service: Service, cluster: RayCluster
) -> None:
    job = service.alice.client.submit("select 42 as answer", engine="duckdb")
    ended(job, JobStatus.SUCCEED)
    assert job.result().to_arrow().to_pylist() == [{"answer": 42}]
    status = service.alice.rest.get(f"{job.task_id}/status")
    assert status.is_ok
    assert sessions_on(cluster) == {job.get().session_id}


def test_a_job_is_paused_resumed_and_killed_like_any_other(
    service: Service, cluster: RayCluster
) -> None:
    job = submit(service, HANGING)
    began(job)
    job.pause()
    until(lambda: job.get().paused, "it is paused")
    job.resume()
    job.kill()
    ended(job, JobStatus.CANCELLED)


def test_a_server_that_is_killed_and_started_again_finds_its_runners_and_their_actors(
    service: Service, cluster: RayCluster
) -> None:
    creator = new_creator()

    def query() -> str:
        query = service.alice.client.submit("select 1", engine="duckdb", creator=creator)
        ended(query, JobStatus.SUCCEED)
        return query.get().session_id

    idle = query()
    fifo = service.directory / "go"
    code = f"mkfifo {fifo}; echo started; cat {fifo}; echo finished"
    job = submit(service, code)
    said(job, "started")
    service.restart_server()
    fifo.write_text("went on\n")
    ended(job, JobStatus.SUCCEED)
    assert printed(job) == ["started", "went on", "finished"]
    own = job.get().session_id
    # an idle one that does not answer in time, as on a busy machine, is let go of
    assert {own} <= sessions_on(cluster) <= {idle, own}
    assert query()


def test_a_job_without_room_waits_and_says_so_and_idle_sessions_make_room_for_it(
    service: Service, cluster: RayCluster
) -> None:
    busy = [submit(service, HANGING) for _ in range(2)]
    for job in busy:  # each has a core, which an idle session had before
        began(job)
    waiting = submit(service, "echo done")
    until(
        lambda: any("waits for room on the Ray cluster" in text for text in texts(waiting)),
        "the third job tells that it waits",
    )
    assert waiting.status() is JobStatus.SCHEDULED
    busy[0].kill()
    ended(waiting, JobStatus.SUCCEED)
    assert printed(waiting) == ["done"]
    busy[1].kill()
    ended(busy[1], JobStatus.CANCELLED)


def test_a_killed_job_waits_for_room_no_longer(service: Service, cluster: RayCluster) -> None:
    job = submit(service, "echo done", startup={"ray.cores": "2"})
    until(lambda: any("asks for 2 cores" in text for text in texts(job)), "it waits for two cores")
    job.kill()
    ended(job, JobStatus.CANCELLED)
    until(lambda: cluster.free_cores() == 2, "its actor, and the idle sessions', are gone")
    until(lambda: cluster.actors() == [], "nothing waits")


@pytest.mark.parametrize(
    ("name", "value"), [("ray.cores", "many"), ("ray.cores", "1.5"), ("ray.memory", "-1")]
)
def test_what_is_asked_of_ray_is_checked(service: Service, name: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        submit(service, "echo", startup={name: value})


def test_a_job_whose_node_is_killed_is_tried_again_on_another_node(
    service: Service, cluster: RayCluster
) -> None:
    jobs = [submit(service, HANGING, retryNum="1") for _ in range(2)]
    pids = {job.task_id: began(job) for job in jobs}
    node = cluster.kill_node()
    victim = until(
        lambda: (
            next((job for job in jobs if "try 2" in " ".join(texts(job))), None)
            or next((job for job in jobs if job.status() is JobStatus.WAIT_FOR_RETRY), None)
            or next((job for job in jobs if job.status() is JobStatus.SCHEDULED), None)
        ),
        "one of them is to be tried again",
    )
    (survivor,) = [job for job in jobs if job is not victim]
    assert survivor.status() is JobStatus.RUNNING
    assert any(node in text for text in texts(victim))
    until(lambda: gone([pids[victim.task_id]]), "nothing of it runs on the dead node")
    survivor.kill()
    until(lambda: len(printed(victim)) == 2, "its second try runs on the node that lives")
    victim.kill()
    ended(victim, JobStatus.CANCELLED)
    cluster.add_node()


def test_a_job_whose_node_is_killed_fails_with_the_reason_and_the_next_one_runs(
    service: Service, cluster: RayCluster
) -> None:
    until(lambda: cluster.free_cores() + len(cluster.actors()) == 2, "there are two nodes again")
    jobs = [submit(service, HANGING) for _ in range(2)]
    for job in jobs:
        began(job)
    node = cluster.kill_node()
    until(lambda: any(job.status().is_final for job in jobs), "one of them fails")
    (victim,) = [job for job in jobs if job.status().is_final]
    assert node in reason_of_failure(service.alice, victim)
    for job in jobs:
        if job is not victim:
            job.kill()
    following = submit(service, "echo runs")
    ended(following, JobStatus.SUCCEED)
    cluster.add_node()


def test_without_room_within_the_time_to_open_a_session_a_job_fails_and_names_what_it_asked_for(
    cluster: RayCluster,
) -> None:
    with on_ray(cluster.address, ENTRANCE_SESSION_OPEN_TIMEOUT="3") as service:
        job = submit(service, "echo", startup={"ray.cores": "7", "ray.memory": "3GiB"})
        reason = reason_of_failure(service.alice, job)
        assert "no room within 3 seconds: it asks for 7 cores and 3 GiB" in reason


def test_runners_and_actors_end_by_themselves_when_their_server_stays_away(
    cluster: RayCluster,
) -> None:
    with on_ray(cluster.address, ENTRANCE_ORPHAN_TIMEOUT="2") as service:
        job = submit(service, HANGING)
        began(job)
        session = job.get().session_id
        assert session in sessions_on(cluster)
        service.server.kill()
        until(lambda: session not in sessions_on(cluster), "the actor has ended")
        service.start_server()
        ended(job, JobStatus.FAILED)
        following = submit(service, "echo")
        ended(following, JobStatus.SUCCEED)
        session = following.get().session_id
    until(lambda: session not in sessions_on(cluster), "a server that stops ends idle sessions")


def test_another_server_takes_a_runner_over_and_nothing_of_its_run_is_lost(
    cluster: RayCluster, postgres: Postgres
) -> None:
    cluster.add_node()  # since idle sessions of another installation make no room
    settings = {"ENTRANCE_LAUNCHER": "ray", "ENTRANCE_RAY_ADDRESS": cluster.address}
    with (
        new_database(postgres) as url,
        running_cluster(url, servers=2, gateways=0, settings=settings) as installation,
    ):
        doomed, heir = installation.servers
        job = installation.client(doomed).submit(COUNTING, engine="shell")
        said(job, "line 5")
        session = job.get().session_id
        doomed.kill()
        seen = installation.client(heir).job(job.task_id)
        ended(seen, JobStatus.SUCCEED)
        assert printed(seen) == [f"line {n}" for n in range(1, 201)]
        assert seen.get().session_id == session
        doomed.start()
    until(lambda: session not in sessions_on(cluster), "its actor ends with the session")


def test_a_server_starts_without_ray_and_a_job_tells_that_it_is_not_reachable() -> None:
    with on_ray("127.0.0.1:1") as service:
        job = submit(service, "echo")
        reason = reason_of_failure(service.alice, job)
        assert "Ray at 127.0.0.1:1 is not reachable: [Errno 111] Connection refused" in reason


def test_a_cluster_that_loses_its_head_lets_jobs_run_on_and_opens_no_new_sessions(
    service: Service, cluster: RayCluster
) -> None:
    job = submit(service, HANGING)
    began(job)
    cluster.kill_head()
    refused = submit(service, "echo")
    unreachable = f"Ray at {cluster.address} is not reachable"
    assert unreachable in reason_of_failure(service.alice, refused)
    assert job.status() is JobStatus.RUNNING
    job.kill()
    ended(job, JobStatus.CANCELLED)
