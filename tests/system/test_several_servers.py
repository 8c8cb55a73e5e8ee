"""Three servers and two gateways on one PostgreSQL: any of them answers for any job."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from entrance.client import JobHandle, JobStatus, Unauthenticated
from entrance.v1 import entrance_pb2 as pb
from tests.support.cluster import Cluster, Gateway, Server, running_cluster
from tests.support.jobs import became
from tests.support.postgres import Postgres, new_database
from tests.support.waiting import until

COUNTING = "for i in $(seq 1 {most}); do echo line $i; sleep 0.05; done"
WAITING = "echo begun; sleep 600"


@pytest.fixture(scope="module")
def cluster(postgres: Postgres) -> Iterator[Cluster]:
    """A cluster for all tests here."""
    with new_database(postgres) as url, running_cluster(url) as cluster:
        yield cluster


@pytest.fixture
def doomed(cluster: Cluster) -> Iterator[Server]:
    """A server that the test may kill; it runs again afterwards."""
    server = cluster.servers[0]
    yield server
    if not server.daemon.runs:
        server.start()


def submit(cluster: Cluster, server: Server, code: str, *, creator: str = "") -> JobHandle:
    return cluster.client(server).submit(code, engine="shell", creator=creator or server.name)


def at(cluster: Cluster, server: Server, job: JobHandle) -> JobHandle:
    """A job as another server shows it."""
    return cluster.client(server).job(job.task_id)


def running(job: JobHandle) -> JobHandle:
    until(lambda: job.status() is JobStatus.RUNNING, "the job runs")
    return job


def test_every_server_and_gateway_answers_for_every_job(cluster: Cluster) -> None:
    jobs = [running(submit(cluster, server, WAITING)) for server in cluster.servers]
    assert [cluster.owner_of(job) for job in jobs] == cluster.servers
    for job, server in itertools.product(jobs, cluster.servers):
        seen = at(cluster, server, job)
        assert seen.status() is JobStatus.RUNNING
        assert seen.get() == job.get()
        until(lambda: "begun" in str(seen.log()), "its log is there")  # noqa: B023 - used at once
    for job, gateway in itertools.product(jobs, cluster.gateways):
        rest = cluster.rest(gateway)
        for id in (job.exec_id, str(job.task_id)):
            assert rest.get(f"{id}/status").data["status"] == "Running"
            assert rest.get(f"{id}/progress").is_ok
            assert "begun" in rest.get(f"{id}/log").data["log"][3]
    cluster.client().kill_jobs([job.task_id for job in jobs])


def test_a_job_is_paused_resumed_and_killed_by_any_server(cluster: Cluster) -> None:
    owner, *others = cluster.servers
    job = running(submit(cluster, owner, WAITING))
    at(cluster, others[0], job).pause()
    assert job.get().paused
    at(cluster, others[1], job).resume()
    assert not job.get().paused
    at(cluster, others[0], job).kill()
    for server in cluster.servers:
        assert at(cluster, server, job).status() is JobStatus.CANCELLED


@pytest.mark.parametrize("by", ["gRPC", "REST"])
def test_jobs_of_all_servers_are_killed_by_one_call(cluster: Cluster, by: str) -> None:
    jobs = [running(submit(cluster, server, WAITING)) for server in cluster.servers]
    numbers = [job.task_id for job in reversed(jobs)]
    if by == "gRPC":
        outcomes = cluster.client(cluster.servers[0]).kill_jobs(numbers)
        assert [one.task_id for one in outcomes] == numbers
        assert not any(one.error for one in outcomes)
    else:
        body = {"idList": [str(one) for one in numbers], "taskIDList": numbers}
        answer = cluster.rest(cluster.gateways[0]).post("x/killJobs", body)
        assert [one["status"] for one in answer.data["messages"]] == [0] * len(numbers)
    assert {job.status() for job in jobs} == {JobStatus.CANCELLED}


def test_all_servers_list_the_same_jobs(cluster: Cluster) -> None:
    jobs = [submit(cluster, server, "echo done") for server in cluster.servers]
    for job in jobs:
        assert job.wait(60).status is JobStatus.SUCCEED
    listed = [list(cluster.client(server).list_jobs()) for server in cluster.servers]
    assert {job.task_id for job in jobs} <= {job.task_id for job in listed[0]}
    assert listed[1:] == listed[:-1]


def test_what_a_job_left_is_read_at_every_server_when_it_has_ended(cluster: Cluster) -> None:
    owner = cluster.servers[0]
    job = cluster.client(owner).submit("SELECT 42 AS answer", engine="duckdb")
    job.wait(60)
    for server in cluster.servers:
        seen = at(cluster, server, job)
        assert seen.result().to_arrow().to_pylist() == [{"answer": 42}]
        assert [line.text for line in seen.follow_log()] == [line.text for line in job.follow_log()]


FOLLOWERS = ["gRPC at another server", "gRPC at any server", "SSE"]


@pytest.mark.parametrize("by", FOLLOWERS)
def test_a_followed_log_has_every_line_once_though_its_server_is_killed(
    cluster: Cluster, doomed: Server, by: str
) -> None:
    with following(cluster, doomed, by):
        doomed.kill()


def test_a_followed_log_has_every_line_once_though_its_server_is_started_again(
    cluster: Cluster, doomed: Server
) -> None:
    with following(cluster, doomed, "gRPC at another server"):
        doomed.kill()
        doomed.start()


@contextmanager
def following(cluster: Cluster, owner: Server, by: str) -> Iterator[None]:
    """Follows the log of a job to its end, while the block does what it does to its server."""
    job = running(submit(cluster, owner, COUNTING.format(most=200)))
    seen: list[tuple[int, str]] = []

    def follow() -> None:
        if by == "SSE":
            seen.extend(_by_events(cluster, cluster.gateways[0], job))
            return
        # the client tries its servers in any order, so that it begins at any of them
        servers = cluster.others(owner) if by == "gRPC at another server" else cluster.servers
        for line in cluster.client(*servers).job(job.task_id).follow_log():
            seen.append((line.number, line.text))

    follower = threading.Thread(target=follow)
    follower.start()
    until(lambda: len(seen) > 30 or not follower.is_alive(), "some lines have come")
    yield
    follower.join(60)
    assert not follower.is_alive()
    assert [number for number, _ in seen] == list(range(1, len(seen) + 1))
    printed = [text for _, text in seen if text.startswith("line ")]
    assert printed == [f"line {n}" for n in range(1, 201)]


def test_a_call_for_a_job_of_a_killed_server_is_answered_by_the_one_that_takes_over(
    cluster: Cluster, doomed: Server
) -> None:
    job = running(submit(cluster, doomed, WAITING))
    doomed.kill()
    seen = at(cluster, cluster.others(doomed)[0], job)
    assert seen.status() is JobStatus.RUNNING
    rest = cluster.rest(cluster.gateways[0])
    assert rest.get(f"{job.exec_id}/kill").is_ok
    assert seen.status() is JobStatus.CANCELLED
    doomed.start()
    assert at(cluster, doomed, job).status() is JobStatus.CANCELLED


def test_files_of_a_session_go_with_it_though_its_server_is_gone(
    cluster: Cluster, doomed: Server
) -> None:
    client = cluster.client(doomed)
    job = running(client.submit(WAITING, engine="shell", labels={"executeOnce": "true"}))
    files = doomed.data_dir / "sessions" / job.get().session_id
    assert files.exists()
    doomed.kill()
    at(cluster, cluster.others(doomed)[0], job).kill()
    until(lambda: not files.exists(), "they are removed")
    assert not [one for one in cluster.footprint.stray_files() if files.name in one.name]


def test_jobs_of_a_killed_server_are_killed_with_those_of_others(
    cluster: Cluster, doomed: Server
) -> None:
    jobs = [running(submit(cluster, server, WAITING)) for server in cluster.servers]
    doomed.kill()
    client = cluster.client(*cluster.others(doomed))
    outcomes = client.kill_jobs([job.task_id for job in jobs])
    assert not any(one.error for one in outcomes)
    assert {client.job(job.task_id).status() for job in jobs} == {JobStatus.CANCELLED}


def test_a_watched_job_is_seen_to_its_end_though_its_server_is_killed(
    cluster: Cluster, doomed: Server
) -> None:
    job = running(submit(cluster, doomed, "sleep 5"))
    rpc = cluster.rpc(cluster.others(doomed)[0])
    stream = rpc.call("WatchJob", pb.WatchJobRequest(id=str(job.task_id)))
    states = [next(stream).job]
    doomed.kill()
    states.extend(answer.job for answer in stream)
    assert states[-1].status == pb.JOB_STATUS_SUCCEED
    assert all(before != after for before, after in itertools.pairwise(states))


@pytest.mark.parametrize(
    ("path", "name"), [("log/stream", "log"), ("progress/stream", "progress"), ("watch", "job")]
)
def test_events_of_a_job_come_to_their_end_in_one_stream_though_its_server_is_killed(
    cluster: Cluster, doomed: Server, path: str, name: str
) -> None:
    job = running(submit(cluster, doomed, "sleep 5"))
    (gateway, _), servers = cluster.gateways, len(cluster.servers)
    # as many as there are servers, so that one of them comes by way of the job's own
    streams = [cluster.rest(gateway).events(f"{job.task_id}/{path}") for _ in range(servers)]
    seen = [[next(stream)] for stream in streams]
    doomed.kill()
    for events, stream in zip(seen, streams, strict=True):
        events.extend(stream)
        assert {event.name for event in events[:-1]} == {name}
        assert (events[-1].name, events[-1].data) == ("end", {"status": "Succeed"})


@pytest.mark.parametrize("change", ["token revoked", "user disabled"])
def test_whoever_is_locked_out_at_one_server_is_so_at_all_and_his_streams_end(
    cluster: Cluster, change: str
) -> None:
    here, there, owner = cluster.servers
    administration = cluster.administrator(here).administration
    user = f"user_{change.split()[0]}"
    administration.create_user(user, "correct horse")
    token = administration.create_token(user)
    job = cluster.client(owner, token=token.secret).submit("sleep 600", engine="shell")
    follower = cluster.client(there, token=token.secret).job(job.task_id)
    with ThreadPoolExecutor(1) as following:
        followed = following.submit(lambda: list(follower.follow_log()))
        running(job)
        if change == "token revoked":
            administration.revoke_token(token.token.token_id)
        else:
            administration.disable_user(user)
        assert isinstance(followed.exception(60), Unauthenticated)
    for server in cluster.servers:
        with pytest.raises(Unauthenticated):
            cluster.client(server, token=token.secret).job(job.task_id).get()
    cluster.administrator(here).kill_jobs([job.task_id])


@pytest.mark.parametrize("killed", [False, True])
def test_limits_of_a_group_hold_over_all_servers(
    cluster: Cluster, doomed: Server, killed: bool
) -> None:
    creator = f"shared_{killed}"
    servers = cluster.servers * 5
    jobs = [submit(cluster, server, "sleep 0.3", creator=creator) for server in servers]
    became(jobs[0], JobStatus.RUNNING, JobStatus.SUCCEED)
    if killed:
        doomed.kill()
    client = cluster.client(*(cluster.others(doomed) if killed else cluster.servers))
    ended = [client.job(job.task_id).wait(60) for job in jobs]
    assert {job.status for job in ended} == {JobStatus.SUCCEED}
    assert most_at_once(cluster, creator) == 2  # `group_running`


def most_at_once(cluster: Cluster, creator: str) -> int:
    """How many jobs had places at once."""
    with psycopg.connect(cluster.store_url) as connection:
        rows = connection.execute(
            "SELECT schedule_time, end_time FROM jobs WHERE creator = %s", [creator]
        ).fetchall()
    steps = sorted(step for begin, end in rows for step in ((begin, 1), (end, -1)))
    return max(itertools.accumulate(change for _, change in steps))


def _by_events(cluster: Cluster, gateway: Gateway, job: JobHandle) -> Iterator[tuple[int, str]]:
    """The lines as a browser gets them in one stream."""
    for event in cluster.rest(gateway).events(f"{job.task_id}/log/stream"):
        assert event.name in ("log", "end"), event
        if event.name == "log":
            yield from enumerate(event.data["lines"], event.data["fromLine"])
