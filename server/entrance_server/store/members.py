"""The servers that share a store, as their rows tell: leases, and who acts for a job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Row

from entrance_server.domain.instances import Instance, Lease, Owner
from entrance_server.store import rows, statements
from entrance_server.store.port import Inheritance, LeaseLost, NameTaken
from entrance_server.store.postgresql import LeaseFence

T = TypeVar("T")

LEFT = "left"  # told when a server has ended its lease


class SqlMembers(ABC):
    """The part of a store that servers find each other by; see `port.Members`."""

    _fence: LeaseFence

    async def join(self, name: str, *, address: str, home: str, lease: timedelta | None) -> Lease:
        """Takes the lease of a name, with what it owned before."""
        values = {"p_address": address, "p_home": home, "p_lease": lease}
        asked = {"p_name": name}

        def take(connection: Connection) -> Lease:
            if lease is None:
                connection.execute(statements.REMOVE_OTHER_INSTANCES, asked)
                connection.execute(statements.OWN_ALL_JOBS, asked)
                connection.execute(statements.OWN_ALL_SESSIONS, asked)
            row = connection.execute(statements.GET_INSTANCE_TO_JOIN, asked).one_or_none()
            if row is None:
                connection.execute(statements.ADD_INSTANCE, asked | values)
            elif lease is not None and row.is_alive and row.home != home:
                raise NameTaken(rows.instance_from(row))
            fence: int = connection.execute(statements.TAKE_LEASE, asked | values).scalar_one()
            connection.execute(statements.OWN_AGAIN, asked | {"p_fence": fence})
            return Lease(name, fence)

        self._fence.lease = await self._keep(take)
        return self._fence.lease

    async def renew(self, lease: Lease, length: timedelta) -> None:
        """Lets a lease hold for so long from now on."""
        await self._set_end(lease, length)

    async def leave(self, lease: Lease) -> None:
        """Ends a lease, so that others need not wait for its end."""
        await self._set_end(lease, timedelta())
        await self._tell(LEFT)

    async def take_over(self, lease: Lease) -> Inheritance | None:
        """Takes what a server had whose lease has run out."""
        mine = {"p_name": lease.instance, "p_fence": lease.fence}

        def take(connection: Connection) -> Inheritance | None:
            if connection.execute(statements.HOLD_LIVE_LEASE, mine).one_or_none() is None:
                raise LeaseLost(lease)
            gone = connection.execute(statements.FIND_GONE).scalar_one_or_none()
            if gone is None:
                return None
            connection.execute(statements.FENCE_OFF, {"p_gone": gone})
            asked = mine | {"p_gone": gone}
            jobs = connection.execute(statements.INHERIT_JOBS, asked).all()
            sessions = connection.execute(statements.INHERIT_SESSIONS, asked).all()
            return Inheritance(
                gone, list(map(rows.job_from, jobs)), list(map(rows.session_from, sessions))
            )

        return await self._keep(take)

    async def live_instances(self) -> Sequence[Instance]:
        """The servers whose leases hold, by name."""
        return await self._read_all(statements.LIVE_INSTANCES, {}, rows.instance_from)

    async def owners_of(self, task_ids: Collection[int]) -> Mapping[int, Owner]:
        """Which servers act for jobs, by the numbers of those that there are."""
        found = await self._read_all(
            statements.FIND_OWNERS,
            {"p_task_ids": list(task_ids)},
            lambda row: (row.task_id, rows.owner_from(row)),
        )
        return dict(found)

    async def _set_end(self, lease: Lease, length: timedelta) -> None:
        values = {"p_name": lease.instance, "p_fence": lease.fence, "p_lease": length}

        def write(connection: Connection) -> None:
            if connection.execute(statements.SET_LEASE_END, values).rowcount == 0:
                raise LeaseLost(lease)

        await self._keep(write)

    @abstractmethod
    async def _tell(self, text: str) -> None: ...

    @abstractmethod
    async def _keep(self, operation: Callable[[Connection], T]) -> T: ...

    @abstractmethod
    async def _read_all(
        self, statement: Executable, asked: Mapping[str, object], convert: Callable[[Row[Any]], T]
    ) -> list[T]: ...
