"""The client for asyncio: `sync` with `await` and `async for`; what a method does stands there."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

import grpc

from entrance.client import (
    administration,
    calls,
    core,
    discovery,
    errors,
    follows,
    models,
    operations,
)

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")


class AsyncClient:
    """As `Client`, for one event loop. Create it while that loop runs."""

    def __init__(
        self, target: str = discovery.DEFAULT_TARGET, **options: Unpack[core.ClientOptions]
    ) -> None:
        self._settings = settings = core.Settings(target, **options)
        channel_target = core.channel_target(target)
        channel_options = core.channel_options(target)
        if settings.credentials is None:
            self._channel = grpc.aio.insecure_channel(channel_target, channel_options)
        else:
            self._channel = grpc.aio.secure_channel(
                channel_target, settings.credentials, channel_options
            )
        self._methods = core.methods_of(self._channel)
        self.operations = operations.AsyncOperations(self)
        self.administration = administration.AsyncAdministration(self)
        self._engines: tuple[models.Engine, ...] = ()

    @classmethod
    def connect(cls, target: str | None = None, **options: Unpack[core.ClientOptions]) -> Self:
        """As `Client.connect`."""
        found, options = core.connection(target, options)
        return cls(found, **options)

    async def close(self) -> None:
        """As `Client.close`."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def submit(
        self, code: str, *, engine: str, **options: Unpack[calls.SubmitOptions]
    ) -> AsyncJobHandle:
        """As `Client.submit`."""
        submission = calls.Submission(code, engine, **options)
        engines = () if submission.run_type else self._engines or await self.engines()
        return AsyncJobHandle(self, *await self._call(calls.submit(submission, engines)))

    async def job(self, id: str | int) -> AsyncJobHandle:
        """As `Client.job`."""
        return AsyncJobHandle(self, *await self._call(calls.ids(str(id))))

    def list_jobs(self, **filters: Unpack[calls.JobFilters]) -> AsyncIterator[models.Job]:
        """As `Client.list_jobs`."""
        return self._pages(calls.jobs(filters))

    async def engines(self) -> tuple[models.Engine, ...]:
        """As `Client.engines`."""
        self._engines = await self._call(calls.list_engines())
        return self._engines

    async def kill_jobs(self, ids: Iterable[str | int]) -> tuple[models.KillOutcome, ...]:
        """As `Client.kill_jobs`."""
        return await self._call(calls.kill_jobs([str(id) for id in ids]))

    async def _call(self, call: calls.Call[T]) -> T:
        settings = self._settings
        attempts = settings.attempts(call.repeatable)
        method = self._methods[call.rpc]
        while True:
            timeout = attempts.time_left()
            try:
                return call.read(
                    await method(call.request, timeout=timeout, metadata=settings.metadata)
                )
            except grpc.RpcError as error:
                await asyncio.sleep(attempts.after(settings.failure(error)))

    async def _pages(self, paging: calls.Paging[T]) -> AsyncIterator[T]:
        token: str | None = ""
        while token is not None:
            page = await self._call(paging(token))
            for item in page.items:
                yield item
            token = page.next_token or None

    async def _follow(
        self, follow: follows.Follow[T], deadline: float | None = None
    ) -> AsyncGenerator[T]:
        settings = self._settings
        attempts = settings.stream_attempts(deadline)
        method = self._methods[follow.rpc]
        while True:
            timeout = attempts.time_left()
            stream = method(follow.request(), timeout=timeout, metadata=settings.metadata)
            try:
                async for message in stream:
                    for item in follow.take(message):
                        attempts.progressed()
                        yield item
                    if follow.ended:
                        return
                failure: errors.EntranceError = follow.close()
            except grpc.RpcError as error:
                failure = settings.failure(error)
            finally:
                stream.cancel()
            if follow.ended:
                return
            await asyncio.sleep(attempts.after(failure))


class AsyncJobHandle:
    """As `JobHandle`."""

    def __init__(self, client: AsyncClient, exec_id: str, task_id: int) -> None:
        self._client = client
        self.exec_id = exec_id
        self.task_id = task_id

    def __repr__(self) -> str:
        return f"<AsyncJobHandle {self.task_id}>"

    async def status(self) -> models.JobStatus:
        """As `JobHandle.status`."""
        return await self._client._call(calls.status(self.exec_id))

    async def get(self) -> models.Job:
        """As `JobHandle.get`."""
        return await self._client._call(calls.get_job(self.exec_id))

    async def log(self, from_line: int = 1, size: int = 100) -> models.LogPage:
        """As `JobHandle.log`."""
        return await self._client._call(calls.log(self.exec_id, from_line, size))

    def follow_log(
        self, from_line: int = 1, levels: Sequence[models.LogLevel] = ()
    ) -> AsyncGenerator[models.LogLine]:
        """As `JobHandle.follow_log`."""
        return self._client._follow(follows.LogFollow(self.exec_id, from_line, levels))

    async def progress(self) -> models.Progress:
        """As `JobHandle.progress`."""
        follow = follows.ProgressFollow(self.exec_id)
        async with aclosing(
            self._client._follow(follow, self._client._settings.deadline)
        ) as stream:
            return await anext(stream)

    def follow_progress(self) -> AsyncGenerator[models.Progress]:
        """As `JobHandle.follow_progress`."""
        return self._client._follow(follows.ProgressFollow(self.exec_id))

    def watch(self) -> AsyncGenerator[models.Job]:
        """As `JobHandle.watch`."""
        return self._client._follow(follows.JobFollow(self.exec_id))

    async def wait(self, timeout: float | None = None, *, check: bool = False) -> models.Job:
        """As `JobHandle.wait`."""
        follow = follows.JobFollow(self.exec_id)
        try:
            async with aclosing(self._client._follow(follow, timeout)) as jobs:
                async for _job in jobs:
                    pass
        except errors.DeadlineExceeded as error:
            raise core.still_going(follow, error, timeout) from None
        return core.ended(follow, check=check)

    async def kill(self) -> None:
        """As `JobHandle.kill`."""
        await self._client._call(calls.kill(self.exec_id))

    async def pause(self) -> None:
        """As `JobHandle.pause`."""
        await self._client._call(calls.pause(self.exec_id))

    async def resume(self) -> None:
        """As `JobHandle.resume`."""
        await self._client._call(calls.resume(self.exec_id))

    async def results(self) -> list[models.ResultSet]:
        """As `JobHandle.results`."""
        return [each async for each in self._client._pages(calls.result_sets(self.exec_id))]

    async def result(
        self, index: int = 0, *, wait: bool = True, timeout: float | None = None
    ) -> AsyncResult:
        """As `JobHandle.result`."""
        job = await self.wait(timeout) if wait else None
        try:
            info = await self._client._call(calls.result_set(self.exec_id, index))
        except errors.NotFound as error:
            raise core.no_result(error, job) from error
        return AsyncResult(self._client, self.exec_id, info)


class AsyncResult:
    """As `Result`."""

    def __init__(self, client: AsyncClient, exec_id: str, info: models.ResultSet) -> None:
        self._client = client
        self._exec_id = exec_id
        self.info = info

    def batches(self) -> AsyncGenerator[pyarrow.RecordBatch]:
        """As `Result.batches`."""
        core.of_type(self.info, models.ResultType.TABLE)
        return self._client._follow(follows.BatchFollow(self._exec_id, self.info.index))

    async def to_arrow(self) -> pyarrow.Table:
        """As `Result.to_arrow`."""
        core.of_type(self.info, models.ResultType.TABLE)
        follow = follows.BatchFollow(self._exec_id, self.info.index)
        return follow.table([batch async for batch in self._client._follow(follow)])

    def rows(self) -> AsyncIterator[models.Row]:
        """As `Result.rows`."""
        core.of_type(self.info, models.ResultType.TABLE)
        return self._client._pages(calls.rows(self._exec_id, self.info.index))

    def pieces(self) -> AsyncGenerator[builtins.bytes]:
        """As `Result.pieces`."""
        core.of_type(self.info, *core.MEDIA)
        return self._client._follow(follows.BytesFollow(self._exec_id, self.info.index))

    async def bytes(self) -> builtins.bytes:
        """As `Result.bytes`."""
        return b"".join([piece async for piece in self.pieces()])

    async def text(self) -> str:
        """As `Result.text`."""
        core.of_type(self.info, models.ResultType.TEXT, models.ResultType.HTML)
        return (await self.bytes()).decode()
