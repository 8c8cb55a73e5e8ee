"""Which ended jobs have their files in object storage, as the jobs' rows tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Row

from entrance_server.store import rows, statements
from entrance_server.store.port import Archive, ArchivedFile, StoredFiles

T = TypeVar("T")


class SqlArchives(ABC):
    """The part of a store that the archive asks; see `port.ArchiveLedger`."""

    _clock: Callable[[], datetime]

    async def unarchived_files(
        self, instance: str, *, ended_before: datetime, limit: int
    ) -> Sequence[StoredFiles]:
        """Measured files that are not all in object storage."""
        return await self._queue(statements.UNARCHIVED_FILES, instance, ended_before, limit)

    async def begin_archive(self, task_id: int, key: str) -> str | None:
        """Keeps below which key the objects of a job will be."""
        asked = {"p_task_ids": [task_id]}

        def begin(connection: Connection) -> str | None:
            if connection.execute(statements.JOBS_WITH_FILES, asked).one_or_none() is None:
                return None
            begun = connection.execute(statements.GET_ARCHIVES, asked).one_or_none()
            if begun is not None:
                return str(begun.key)
            connection.execute(statements.ADD_ARCHIVE, {"task_id": task_id, "key": key})
            return key

        return await self._write(begin)

    async def finish_archive(self, task_id: int, files: Sequence[ArchivedFile]) -> None:
        """Keeps which objects there are."""
        marked = {"p_task_ids": [task_id], "p_now": self._clock()}
        value = {"p_key": task_id, "p_files": [rows.archived_file_row(one) for one in files]}

        def finish(connection: Connection) -> None:
            if connection.execute(statements.MARK_ARCHIVED, marked).rowcount:
                connection.execute(statements.FINISH_ARCHIVE, value)

        await self._write(finish)

    async def archive_of(self, task_id: int) -> Archive | None:
        """What there is, or may be, of a job in object storage."""
        asked = {"p_task_ids": [task_id]}
        found = await self._read_all(statements.GET_ARCHIVES, asked, rows.archive_from)
        return found[0] if found else None

    async def local_copies(
        self, instance: str, *, ended_before: datetime, limit: int
    ) -> Sequence[StoredFiles]:
        """Files that are in object storage and here."""
        return await self._queue(statements.LOCAL_COPIES, instance, ended_before, limit)

    async def forget_local(self, task_ids: Collection[int]) -> None:
        """Keeps that files are not here any more."""

        def forget(connection: Connection) -> None:
            connection.execute(statements.FORGET_LOCAL, {"p_task_ids": list(task_ids)})

        await self._write(forget)

    async def _queue(
        self, statement: Executable, instance: str, ended_before: datetime, limit: int
    ) -> Sequence[StoredFiles]:
        asked = {"p_instance": instance, "p_ended_before": ended_before, "p_limit": limit}
        return await self._read_all(
            statement, asked, lambda row: StoredFiles(row.task_id, row.stored_bytes)
        )

    @abstractmethod
    async def _write(self, operation: Callable[[Connection], T]) -> T: ...

    @abstractmethod
    async def _read_all(
        self, statement: Executable, asked: Mapping[str, object], convert: Callable[[Row[Any]], T]
    ) -> list[T]: ...
