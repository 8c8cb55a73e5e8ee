"""Which ended jobs still have files, and how much these take, as the jobs' rows tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Row

from entrance_server.store import statements
from entrance_server.store.port import StoredFiles

T = TypeVar("T")


class SqlLedger(ABC):
    """The part of a store that the retention asks; see `port.Ledger`."""

    _clock: Callable[[], datetime]

    async def left_to(self, instance: str, *, gone_for: timedelta) -> Sequence[str]:
        """The instances without a lease for so long whose jobs are left to another one."""
        asked = {"p_name": instance, "p_gone_for": gone_for}
        return await self._read_all(statements.LEFT_TO, asked, lambda row: str(row.name))

    async def stored_bytes(self, instance: str) -> int:
        """What the files of ended jobs take in all, as far as they were measured."""
        asked = {"p_instance": instance}
        (total,) = await self._read_all(statements.STORED_BYTES, asked, lambda row: int(row[0]))
        return total

    async def unmeasured_jobs(self, instance: str, *, limit: int) -> Sequence[int]:
        """Ended jobs whose files were not measured yet."""
        asked = {"p_instance": instance, "p_limit": limit}
        return await self._read_all(statements.UNMEASURED_JOBS, asked, _task_id)

    async def set_stored_bytes(self, sizes: Mapping[int, int]) -> None:
        """Keeps what the files of jobs take."""
        values = [{"p_key": task_id, "p_bytes": size} for task_id, size in sizes.items()]

        def write(connection: Connection) -> None:
            connection.execute(statements.SET_STORED_BYTES, values)

        if values:
            await self._write(write)

    async def oldest_files(
        self, instance: str, *, ended_before: datetime, limit: int
    ) -> Sequence[StoredFiles]:
        """Ended jobs with files, from the one that ended longest ago on."""
        asked = {"p_instance": instance, "p_ended_before": ended_before, "p_limit": limit}
        return await self._read_all(
            statements.OLDEST_FILES, asked, lambda row: StoredFiles(row.task_id, row.stored_bytes)
        )

    async def mark_removed(self, task_ids: Collection[int]) -> None:
        """Lets nobody see the files of ended jobs any more."""
        ids = {"p_task_ids": list(task_ids)}

        def mark(connection: Connection) -> None:
            connection.execute(statements.MARK_REMOVED, {**ids, "p_now": self._clock()})
            connection.execute(statements.CLEAR_REMOVED_RESULTS, ids)

        await self._write(mark)

    async def removals(self, instance: str, *, limit: int) -> Sequence[int]:
        """Jobs that were marked and still have files."""
        asked = {"p_instance": instance, "p_limit": limit}
        return await self._read_all(statements.REMOVALS, asked, _task_id)

    async def forget_files(self, task_ids: Collection[int]) -> None:
        """Keeps that the files of ended jobs are gone."""

        def forget(connection: Connection) -> None:
            connection.execute(statements.FORGET_FILES, {"p_task_ids": list(task_ids)})
            connection.execute(statements.FORGET_ARCHIVES, {"p_task_ids": list(task_ids)})

        await self._write(forget)

    async def remove_jobs(self, instance: str, *, ended_before: datetime, limit: int) -> int:
        """Forgets jobs that ended before a time and have no files; how many."""
        asked = {"p_instance": instance, "p_ended_before": ended_before, "p_limit": limit}

        def remove(connection: Connection) -> int:
            return connection.execute(statements.REMOVE_JOBS, asked).rowcount

        return await self._write(remove)

    async def known_jobs(self, first: int, last: int) -> frozenset[int]:
        """Which numbers from one to another are those of jobs."""
        asked = {"p_first": first, "p_last": last}
        return frozenset(await self._read_all(statements.KNOWN_JOBS, asked, _task_id))

    async def last_job(self) -> int:
        """The greatest number of a job; 0 when there is none."""
        (last,) = await self._read_all(statements.LAST_JOB, {}, lambda row: int(row[0]))
        return last

    @abstractmethod
    async def _write(
        self, operation: Callable[[Connection], T], *, locks: Collection[str] = ()
    ) -> T: ...

    @abstractmethod
    async def _read_all(
        self, statement: Executable, asked: Mapping[str, object], convert: Callable[[Row[Any]], T]
    ) -> list[T]: ...


def _task_id(row: Row[Any]) -> int:
    return int(row.task_id)
