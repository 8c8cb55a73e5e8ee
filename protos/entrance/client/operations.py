"""What an operator asks of a server, and may tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrance.client import models, wire
from entrance.client.calls import Call
from entrance.v1 import operation_pb2 as pb

if TYPE_CHECKING:
    from entrance.client.aio import AsyncClient
    from entrance.client.sync import Client


class Operations:
    """Looks into a server, and takes it out of service and back; for administrators.

    Beside what `Client` says, each method may raise `PermissionDenied`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def count_jobs(
        self, *, user: str = "", creator: str = "", engine: str = ""
    ) -> models.JobCounts:
        """Counts the server's jobs that have not ended.

        Args:
            user: Whose jobs. Empty: everybody's.
            creator: The application that they came from. Empty: any.
            engine: The engine type, with or without a version. Empty: any.
        """
        return self._client._call(_count_jobs(user, creator, engine))

    def groups(self) -> tuple[models.GroupLoad, ...]:
        """The groups with jobs that wait or run, by name."""
        return self._client._call(_groups())

    def is_online(self) -> bool:
        """Whether the server takes new jobs."""
        return self._client._call(_is_online())

    def drain(self) -> None:
        """Lets the server take no new jobs, after a restart too; those that it has go on."""
        self._client._call(_drain())

    def undrain(self) -> None:
        """Lets the server take new jobs again."""
        self._client._call(_undrain())


class AsyncOperations:
    """As `Operations`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def count_jobs(
        self, *, user: str = "", creator: str = "", engine: str = ""
    ) -> models.JobCounts:
        """As `Operations.count_jobs`."""
        return await self._client._call(_count_jobs(user, creator, engine))

    async def groups(self) -> tuple[models.GroupLoad, ...]:
        """As `Operations.groups`."""
        return await self._client._call(_groups())

    async def is_online(self) -> bool:
        """As `Operations.is_online`."""
        return await self._client._call(_is_online())

    async def drain(self) -> None:
        """As `Operations.drain`."""
        await self._client._call(_drain())

    async def undrain(self) -> None:
        """As `Operations.undrain`."""
        await self._client._call(_undrain())


def _count_jobs(user: str, creator: str, engine: str) -> Call[models.JobCounts]:
    request = pb.TaskInfoRequest(user=user, creator=creator, engine_type_label=engine)
    return Call("TaskInfo", request, wire.job_counts)


def _groups() -> Call[tuple[models.GroupLoad, ...]]:
    return Call("ConsumerInfo", pb.ConsumerInfoRequest(), wire.group_loads)


def _is_online() -> Call[bool]:
    return Call("IsOnline", pb.IsOnlineRequest(), lambda answer: bool(answer.is_online))


def _drain() -> Call[None]:
    return Call("MarkOffline", pb.MarkOfflineRequest(), lambda _: None)


def _undrain() -> Call[None]:
    return Call("BackOnline", pb.BackOnlineRequest(), lambda _: None)
