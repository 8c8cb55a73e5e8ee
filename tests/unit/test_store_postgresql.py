"""What the store does with PostgreSQL: refusals without secrets, two at once, fences, takeover."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from entrance_server.domain.instances import Lease
from entrance_server.domain.job import Job
from entrance_server.domain.status import ACTIVE, JobStatus
from entrance_server.domain.users import Revocation, User
from entrance_server.scheduling import GroupLimits
from entrance_server.store import SqlStore, statements
from entrance_server.store.connect import open_engines
from entrance_server.store.groups import freed_in
from entrance_server.store.listener import MISSED
from entrance_server.store.port import GroupFull, LeaseLost, SchemaTooNew, StoreUnavailable
from entrance_server.store.revocations import revoked_in
from entrance_server.store.sql import utc_now
from tests.support.postgres import PASSWORD, Postgres
from tests.support.waiting import eventually
from tests.unit.specs import spec

LONG = timedelta(hours=1)
OVER = timedelta(seconds=-1)


async def join(store: SqlStore, name: str, length: timedelta = LONG) -> Lease:
    return await store.join(name, address=f"{name}:9104", home=name, lease=length)


async def hearing(store: SqlStore) -> list[str]:
    """What a server is told from here on."""
    heard: list[str] = []
    store.hear(heard.append)
    await eventually(lambda: MISSED in heard, "it listens")
    return heard


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


@pytest.mark.parametrize("was_committed", [True, False])
async def test_a_takeover_is_known_though_its_commit_was_not_answered(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, was_committed: bool
) -> None:
    async with SqlStore(postgres_url) as gone, SqlStore(postgres_url) as heir:
        await join(gone, "gone", OVER)
        job, _ = await gone.create_job(spec(), instance="gone")
        lease = await join(heir, "heir")

        def unanswered(_: PGDialect_psycopg, connection: Any) -> None:
            if was_committed:
                connection.commit()
            connection.dbapi_connection.close()
            raise psycopg.OperationalError("the connection was lost")

        with monkeypatch.context() as patched:
            patched.setattr(PGDialect_psycopg, "do_commit", unanswered)
            if was_committed:
                found = await heir.take_over(lease)
            else:
                with pytest.raises(StoreUnavailable):
                    await heir.take_over(lease)
                patched.undo()
                found = await heir.take_over(lease)
    assert found is not None
    assert [one.task_id for one in found.jobs] == [job.task_id]


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


async def test_no_more_jobs_of_a_group_are_scheduled_than_may_on_all_servers(
    postgres_url: str,
) -> None:
    async with SqlStore(postgres_url) as a, SqlStore(postgres_url) as b:
        jobs = [(await a.create_job(spec(), instance="a"))[0] for _ in range(10)]
        claims = (
            store.schedule(job, at_most=3) for job, store in zip(jobs, [a, b] * 5, strict=True)
        )
        found = await asyncio.gather(*claims, return_exceptions=True)
        refused = [one for one in found if isinstance(one, GroupFull)]
        room = [one[1] for one in found if isinstance(one, tuple)]
        assert (len(refused), sorted(room)) == (7, [False, True, True])
        other, _ = await b.create_job(spec(creator="other"), instance="b")
        assert await b.schedule(other, at_most=1) is not None


@pytest.mark.parametrize("ends_as", [JobStatus.FAILED, JobStatus.WAIT_FOR_RETRY])
async def test_a_place_that_becomes_free_is_told_to_all_servers(
    postgres_url: str, ends_as: JobStatus
) -> None:
    async with SqlStore(postgres_url) as a, SqlStore(postgres_url) as b:
        heard = await hearing(b)
        first, second = [(await a.create_job(spec(), instance="a"))[0] for _ in range(2)]
        await a.schedule(first, at_most=1)
        with pytest.raises(GroupFull):
            await b.schedule(second, at_most=1)
        await a.transition(first.task_id, ends_as, expect=ACTIVE)
        await eventually(lambda: spec().group in map(freed_in, heard), "the server hears of it")
        await b.schedule(second, at_most=1)


async def test_no_more_jobs_of_a_group_wait_than_may_on_all_servers(postgres_url: str) -> None:
    limits = GroupLimits(running=1, waiting=2)
    async with SqlStore(postgres_url) as a, SqlStore(postgres_url) as b:

        async def submit(store: SqlStore) -> Job:
            job, _ = await store.create_job(spec(), instance="a", limits=limits)
            return job

        await a.schedule(await submit(a), at_most=1)
        found = await asyncio.gather(*map(submit, [a, b] * 3), return_exceptions=True)
        assert sum(isinstance(one, GroupFull) for one in found) == 4


async def test_a_place_that_is_left_in_the_same_commit_may_be_taken(postgres_url: str) -> None:
    limits = GroupLimits(running=0, waiting=1)
    async with SqlStore(postgres_url) as store:
        first, _ = await store.create_job(spec(), instance="a", limits=limits)
        refused, _, added = await asyncio.gather(
            store.create_job(spec(), instance="a", limits=limits),
            store.transition(first.task_id, JobStatus.CANCELLED, expect=ACTIVE),
            store.create_job(spec(), instance="a", limits=limits),
            return_exceptions=True,
        )
        assert isinstance(refused, GroupFull)
        assert isinstance(added, tuple)


async def test_the_jobs_of_a_group_are_counted_without_those_of_others(postgres_url: str) -> None:
    async with SqlStore(postgres_url):
        pass
    engines = open_engines(postgres_url, readers=1)
    with engines.writer.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")  # which an empty table invites
        for asked in (statements.COUNT_PLACED, statements.COUNT_PLACED_AND_WAITING):
            sql = asked.params(p_user="a", p_creator="b", p_engine_type="c").compile(
                engines.writer, compile_kwargs={"literal_binds": True}
            )
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {sql}").scalars())
            assert "ix_jobs_load" in plan
            assert "Filter" not in plan
    engines.dispose()


@pytest.mark.parametrize(
    "revocation",
    [
        Revocation(token_id="one"),
        Revocation(user="alice"),
        Revocation(user="alice", logins_only=True),
        Revocation(ticket_hash=b"one"),
    ],
)
async def test_who_is_not_let_in_any_more_is_told_to_all_servers(
    postgres_url: str, revocation: Revocation
) -> None:
    async with SqlStore(postgres_url) as a, SqlStore(postgres_url) as b:
        heard = await hearing(b)
        await a.add_user(User("alice", None, is_admin=False, create_time=utc_now()))
        if revocation.token_id:
            await a.remove_token(revocation.token_id)
        elif revocation.ticket_hash:
            await a.remove_login_session(revocation.ticket_hash)
        elif revocation.logins_only:
            await a.set_password("alice", "a hash")
        else:
            await a.set_user_disabled("alice", True)
        await eventually(lambda: revocation in map(revoked_in, heard), "the server hears of it")
