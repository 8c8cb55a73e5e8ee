"""Servers that share a store: names, leases and fences, and who acts for a job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from entrance_server.domain.instances import Lease
from entrance_server.domain.status import ACTIVE, JobStatus
from entrance_server.store import SqlStore
from entrance_server.store.port import LeaseLost, NameTaken
from tests.unit.specs import spec

LONG = timedelta(hours=1)


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    async with SqlStore(url) as opened:
        yield opened


async def join(
    store: SqlStore, name: str, *, home: str = "", length: timedelta | None = LONG
) -> Lease:
    return await store.join(name, address=f"{name}:9104", home=home or name, lease=length)


async def test_a_server_that_joined_is_found(store: SqlStore) -> None:
    lease = await join(store, "a")
    (found,) = await store.live_instances()
    assert (found.name, found.address, found.home, found.fence) == ("a", "a:9104", "a", lease.fence)
    assert found.is_alive
    assert found.lease_expire_time is not None


async def test_each_start_has_a_greater_fence_and_ends_the_lease_before(store: SqlStore) -> None:
    first, second = await join(store, "a"), await join(store, "a")
    assert second.fence > first.fence
    with pytest.raises(LeaseLost):
        await store.renew(first, LONG)
    await store.renew(second, LONG)


async def test_a_name_that_is_held_elsewhere_is_refused(store: SqlStore) -> None:
    await join(store, "a", home="one machine")
    with pytest.raises(NameTaken, match="a:9104") as refused:
        await join(store, "a", home="another machine")
    assert refused.value.holder.home == "one machine"


@pytest.mark.parametrize("ended_by", ["its end", "leaving"])
async def test_a_name_whose_lease_has_ended_is_free(store: SqlStore, ended_by: str) -> None:
    lease = await join(store, "a", length=timedelta(seconds=-1) if ended_by == "its end" else LONG)
    if ended_by == "leaving":
        await store.leave(lease)
    assert not await store.live_instances()
    assert (await join(store, "a", home="another machine")).fence > lease.fence


async def test_the_owner_of_a_new_job_is_the_server_that_accepted_it(store: SqlStore) -> None:
    lease = await join(store, "a")
    job, _ = await store.create_job(spec(), instance="a")
    owner = (await store.owners_of([job.task_id])).get(job.task_id)
    assert job.owner == "a"
    assert owner is not None
    assert (owner.name, owner.address, owner.fence) == ("a", "a:9104", lease.fence)
    assert owner.is_alive
    assert owner.end_time is None


async def test_a_server_owns_its_jobs_again_after_a_restart(store: SqlStore) -> None:
    await join(store, "a")
    job, _ = await store.create_job(spec(), instance="a")
    lease = await join(store, "a")
    owner = (await store.owners_of([job.task_id])).get(job.task_id)
    assert owner is not None
    assert (owner.fence, owner.is_alive) == (lease.fence, True)


async def test_an_owner_whose_lease_has_ended_is_not_alive(store: SqlStore) -> None:
    lease = await join(store, "a")
    job, _ = await store.create_job(spec(), instance="a")
    await store.leave(lease)
    owner = (await store.owners_of([job.task_id])).get(job.task_id)
    assert owner is not None
    assert not owner.is_alive


async def test_an_owner_is_told_when_its_job_has_ended(store: SqlStore) -> None:
    await join(store, "a")
    job, _ = await store.create_job(spec(), instance="a")
    await store.transition(job.task_id, JobStatus.CANCELLED, expect=ACTIVE)
    owner = (await store.owners_of([job.task_id])).get(job.task_id)
    assert owner is not None
    assert owner.end_time is not None


async def test_a_job_that_does_not_exist_has_no_owner(store: SqlStore) -> None:
    assert await store.owners_of([7]) == {}


async def test_the_only_server_of_a_store_joins_again_wherever_it_is(store: SqlStore) -> None:
    lease = await join(store, "a", home="machine/first boot:/data", length=None)
    job, _ = await store.create_job(spec(), instance="a")
    again = await join(store, "a", home="machine/next boot:/moved", length=None)
    assert again.fence > lease.fence
    assert [one.task_id for one in await store.unfinished_jobs("a")] == [job.task_id]


async def test_the_only_server_of_a_store_owns_all_that_is_left(store: SqlStore) -> None:
    await join(store, "a", length=None)
    job, _ = await store.create_job(spec(), instance="a")
    await join(store, "b", length=None)
    assert [one.task_id for one in await store.unfinished_jobs("b")] == [job.task_id]
    assert [one.name for one in await store.live_instances()] == ["b"]
    stored = await store.get_job(job.task_id)
    assert stored is not None
    assert (stored.owner, stored.instance) == ("b", "a")
