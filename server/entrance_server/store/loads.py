"""How many jobs of a group wait and run, where servers count them together."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, RootTransaction, Select

from entrance_server.domain.job import GroupKey, GroupLimits
from entrance_server.domain.status import JobStatus
from entrance_server.store import statements
from entrance_server.store.port import GroupFull


class GroupLoads:
    """Counts in the transaction of the thread that writes, which holds the groups' locks.

    Those that wait are many, and so are the submits of a transaction: they are counted once in it.
    """

    def __init__(self) -> None:
        self._transaction: RootTransaction | None = None
        self._counted: dict[GroupKey, Counter[JobStatus]] = {}

    def placed(self, connection: Connection, group: GroupKey) -> int:
        """How many jobs of a group have a place to run."""
        return _count(connection, statements.COUNT_PLACED, group).total()

    def take_room(self, connection: Connection, group: GroupKey, limits: GroupLimits) -> None:
        """Counts one more job that is about to wait, beside those for which there is a place.

        Raises:
            GroupFull: as many wait as may.
        """
        if (transaction := connection.get_transaction()) is not self._transaction:
            self.forget()
            self._transaction = transaction
        if group not in self._counted:
            counted = _count(connection, statements.COUNT_PLACED_AND_WAITING, group)
            self._counted[group] = counted
        load = self._counted[group]
        waiting = load[JobStatus.INITED]
        if waiting >= limits.waiting + max(limits.running - (load.total() - waiting), 0):
            raise GroupFull
        load[JobStatus.INITED] += 1

    def forget(self) -> None:
        """Counts anew next time, since jobs went from one state to another."""
        self._counted.clear()


def _count(connection: Connection, statement: Select[Any], group: GroupKey) -> Counter[JobStatus]:
    asked = {"p_user": group.user, "p_creator": group.creator, "p_engine_type": group.engine_type}
    found = connection.execute(statement, asked)
    return Counter({status: count for status, count in found})
