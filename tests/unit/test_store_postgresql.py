"""What the store does with PostgreSQL: refusals without secrets, two at once, fences, takeover."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from entrance_server.domain.instances import Lease
from entrance_server.store import SqlStore
from entrance_server.store.port import LeaseLost, SchemaTooNew, StoreUnavailable
from tests.support.postgres import PASSWORD, Postgres
from tests.unit.specs import spec

LONG = timedelta(hours=1)
OVER = timedelta(seconds=-1)


async def join(store: SqlStore, name: str, length: timedelta = LONG) -> Lease:
    return await store.join(name, address=f"{name}:9104", home=name, lease=length)


async def test_a_wrong_password_is_told_and_not_shown(postgres: Postgres) -> None:
    with pytest.raises(StoreUnavailable, match="password authentication failed") as told:
        await SqlStore(postgres.url("postgres", password="sesame")).open()
    assert "sesame" not in str(told.value)


async def test_a_database_that_does_not_listen_is_unavailable(postgres: Postgres) -> None:
    with pytest.raises(StoreUnavailable, match="refused") as told:
        await SqlStore(postgres.url("postgres", port=1)).open()
    assert PASSWORD not in str(told.value)


async def test_servers_that_start_at_once_migrate_one_after_the_other(postgres_url: str) -> None:
    stores = [SqlStore(postgres_url) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    for store in stores:
        await store.close()


async def test_a_schema_of_a_newer_release_is_refused(postgres_url: str) -> None:
    async with SqlStore(postgres_url):
        pass
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="revision 9999"):
        await SqlStore(postgres_url).open()


async def test_connections_that_were_cut_are_made_anew(postgres_url: str) -> None:
    async with SqlStore(postgres_url) as store:
        job, _ = await store.create_job(spec(), instance="a")
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert await store.get_job(job.task_id) == job
        with pytest.raises(StoreUnavailable):
            await store.create_job(spec(), instance="a")
        assert (await store.create_job(spec(), instance="a"))[1]


async def test_a_server_takes_over_from_one_whose_lease_ran_out(postgres_url: str) -> None:
    async with SqlStore(postgres_url) as gone, SqlStore(postgres_url) as heir:
        await join(gone, "gone", OVER)
        job, _ = await gone.create_job(spec(), instance="gone")
        lease = await join(heir, "heir")
        found = await heir.take_over(lease)
        assert found is not None
        assert [(one.task_id, one.owner, one.instance) for one in found.jobs] == [
            (job.task_id, "heir", "gone")
        ]
        assert await heir.take_over(lease) is None


async def test_a_server_that_was_taken_over_from_writes_nothing_more(postgres_url: str) -> None:
    async with SqlStore(postgres_url) as gone, SqlStore(postgres_url) as heir:
        await join(gone, "gone", OVER)
        job, _ = await gone.create_job(spec(), instance="gone")
        await heir.take_over(await join(heir, "heir"))
        with pytest.raises(LeaseLost):
            await gone.set_paused(job.task_id, True)
        with pytest.raises(LeaseLost):
            await gone.create_job(spec(), instance="gone")


async def test_one_of_two_servers_takes_over(postgres_url: str) -> None:
    async with (
        SqlStore(postgres_url) as gone,
        SqlStore(postgres_url) as first,
        SqlStore(postgres_url) as second,
    ):
        await join(gone, "gone", OVER)
        await gone.create_job(spec(), instance="gone")
        leases = [await join(first, "first"), await join(second, "second")]
        found = await asyncio.gather(first.take_over(leases[0]), second.take_over(leases[1]))
        assert sum(one is not None for one in found) == 1
