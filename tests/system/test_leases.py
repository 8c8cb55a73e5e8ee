"""Servers that lose their leases, and servers that get none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from entrance.client import JobHandle, JobStatus
from tests.support.cluster import LEASE, Cluster, Server, running_cluster
from tests.support.door import Door
from tests.support.postgres import Postgres, new_database
from tests.support.waiting import until
from tests.system.campaign.proxy import Proxy

COUNTING = "for i in $(seq 1 {most}); do echo line $i; sleep 0.05; done"
MOST = 120
HEIR_LEASE = "8"  # seconds, which even a busy machine renews in time
LONG_LEASE = 5.0  # seconds; a tenth of it is more than a busy machine takes to end a process


@pytest.fixture
def cluster(postgres: Postgres) -> Iterator[Cluster]:
    """One server, to which tests add others."""
    with (
        new_database(postgres) as url,
        running_cluster(
            url, servers=1, gateways=0, settings={"ENTRANCE_LEASE_SECONDS": HEIR_LEASE}
        ) as cluster,
    ):
        yield cluster


class Silent:
    """A way to PostgreSQL on which all that is sent while it is cut is lost on the way."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.port = proxy.port

    def cut(self) -> contextlib.AbstractContextManager[None]:
        return self._proxy.held_up()


class Refusing:
    """A way to PostgreSQL whose connections break when it is cut, and which takes no more then."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.port = door.port

    @contextmanager
    def cut(self) -> Iterator[None]:
        self._door.shut()
        yield
        self._door.open()


@pytest.fixture(params=[Silent, Refusing])
def way(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Silent | Refusing]:
    """A way to PostgreSQL that can be cut."""
    if request.param is Silent:
        proxy = Proxy()
        proxy.upstream = postgres.port
        with in_thread(proxy):
            yield Silent(proxy)
    else:
        door = Door(postgres.port)
        door.open()
        yield Refusing(door)
        door.shut()


@contextmanager
def in_thread(proxy: Proxy) -> Iterator[None]:
    loop, listens, ends = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        async with proxy.running():
            listens.set()
            await ends.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    listens.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join()
        loop.close()


def test_a_server_that_stood_still_beyond_its_lease_writes_nothing_more(cluster: Cluster) -> None:
    (heir,) = cluster.servers
    frozen = cluster.new_server("frozen", ENTRANCE_LEASE_SECONDS=str(LEASE))
    frozen.start()
    job = counting(cluster, frozen)
    frozen.daemon.process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: owner(cluster, job) == instance(heir), "the job is taken over")
    finally:
        frozen.daemon.process.send_signal(signal.SIGCONT)
    assert_whole(cluster, heir, job)
    until(lambda: "lease has ended" in frozen.daemon.output.read_text(), "it begins anew")
    until(lambda: is_member(cluster, frozen), "it joins again")


def test_a_server_that_is_cut_off_from_the_store_stops_before_another_takes_over(
    way: Silent | Refusing, cluster: Cluster, postgres: Postgres
) -> None:
    (heir,) = cluster.servers
    by_way = cluster.store_url.replace(f":{postgres.port}/", f":{way.port}/")
    settings = {"ENTRANCE_STORE_URL": by_way, "ENTRANCE_LEASE_SECONDS": str(LONG_LEASE)}
    apart = cluster.new_server("apart", **settings)
    apart.start()
    job = counting(cluster, apart)
    with way.cut():
        until(lambda: owner(cluster, job) == instance(heir), "the job is taken over")
        stopped = times(apart, "the lease has ended; nothing goes on in this process")
        assert stopped
        assert stopped[0] < times(heir, "took over")[0]
        assert_whole(cluster, heir, job)
    until(lambda: is_member(cluster, apart), "it joins again")


def test_a_server_with_the_name_of_another_one_does_not_start(cluster: Cluster) -> None:
    first = cluster.new_server("first", ENTRANCE_INSTANCE="here:1")
    first.start()
    second = cluster.new_server("second", ENTRANCE_INSTANCE="here:1")
    with pytest.raises(AssertionError, match="ended at its start"):
        second.start()
    assert second.daemon.process.returncode
    assert f"Another server of this store is named here:1 and runs at {first.target}" in told(
        second
    )


def test_a_server_with_a_wrong_password_of_the_store_does_not_start(
    cluster: Cluster, postgres: Postgres
) -> None:
    url = postgres.url(cluster.store_url.rpartition("/")[2], password="sesame")
    wrong = cluster.new_server("wrong", ENTRANCE_STORE_URL=url, ENTRANCE_STORE_WAIT="0.5")
    with pytest.raises(AssertionError, match="ended at its start"):
        wrong.start()
    assert wrong.daemon.process.returncode
    assert "password authentication failed" in told(wrong)
    assert "sesame" not in told(wrong)


def counting(cluster: Cluster, server: Server) -> JobHandle:
    """A job that has begun to print lines at a server."""
    job = cluster.client(server).submit(COUNTING.format(most=MOST), engine="shell")
    until(lambda: "line 5" in str(job.log()), "it prints")
    return job


def assert_whole(cluster: Cluster, server: Server, job: JobHandle) -> None:
    """The job goes on to its end, and its log has every line once."""
    seen = cluster.client(server).job(job.task_id)
    assert seen.wait(60).status is JobStatus.SUCCEED
    lines = [line.text for line in seen.follow_log() if line.text.startswith("line ")]
    assert lines == [f"line {n}" for n in range(1, MOST + 1)]


def instance(server: Server) -> str:
    name: str = json.loads(server.daemon.ready_file.read_text())["instance"]
    return name


def owner(cluster: Cluster, job: JobHandle) -> str:
    with psycopg.connect(cluster.store_url) as connection:
        query = "SELECT owner FROM jobs WHERE task_id = %s"
        return str(connection.execute(query, [job.task_id]).fetchone()[0])  # type: ignore[index]


def is_member(cluster: Cluster, server: Server) -> bool:
    query = (
        "SELECT lease_expire_time > extract(epoch FROM clock_timestamp()) * 1000000 "
        "FROM instances WHERE name = %s"
    )
    with psycopg.connect(cluster.store_url) as connection:
        return bool(connection.execute(query, [instance(server)]).fetchone()[0])  # type: ignore[index]


def told(server: Server) -> str:
    return server.daemon.output.read_text()


def times(server: Server, event: str) -> list[str]:
    """When a server's log tells of something."""
    lines = [line for line in told(server).splitlines() if event in line]
    return [found[0] for line in lines if (found := re.search(r"\d{4}-\d\d-\d\dT?[ \d:.]+", line))]
