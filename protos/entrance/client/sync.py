"""The client for code that waits: each call returns when its answer is there."""

from __future__ import annotations

import builtins
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
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


class Client:
    """A connection to the service; the way to its jobs.

    It is a context manager, and several threads may use it at once. Beside what a method names,
    each may raise `Unauthenticated`, `Unavailable`, `DeadlineExceeded` and, for what nobody
    foresaw, `EntranceError` itself.

    Args:
        target: Where the service listens, as a gRPC target; `host:port` of several of its servers
            may stand there with commas, and another one is called when one is gone.
        options: See `ClientOptions`.

    Attributes:
        operations: What operators may do.
        administration: Users and tokens.
    """

    def __init__(
        self, target: str = discovery.DEFAULT_TARGET, **options: Unpack[core.ClientOptions]
    ) -> None:
        self._settings = settings = core.Settings(target, **options)
        channel_target = core.channel_target(target)
        channel_options = core.channel_options(target)
        if settings.credentials is None:
            self._channel = grpc.insecure_channel(channel_target, channel_options)
        else:
            self._channel = grpc.secure_channel(
                channel_target, settings.credentials, channel_options
            )
        self._methods = core.methods_of(self._channel)
        self.operations = operations.Operations(self)
        self.administration = administration.Administration(self)
        self._engines: tuple[models.Engine, ...] = ()

    @classmethod
    def connect(cls, target: str | None = None, **options: Unpack[core.ClientOptions]) -> Self:
        """A client that finds out by itself what is not said. It does not call the service yet.

        Args:
            target: Unset: ENTRANCE_TARGET, else what `entrance serve` wrote into the data
                directory, else 127.0.0.1:9104.
            options: See `ClientOptions`. Without `token`: ENTRANCE_TOKEN, else, for a service on
                this machine, the administrator's token in the data directory. Without
                `credentials`: what ENTRANCE_CLIENT_TLS_CA, ENTRANCE_CLIENT_TLS_CERT and
                ENTRANCE_CLIENT_TLS_KEY name, else with ENTRANCE_CLIENT_TLS=true the authorities of
                the system, else none.

        Raises:
            EntranceError: a file that is there can't be read, or the token would go to another
                machine in clear without ENTRANCE_CLIENT_INSECURE=true.
        """
        found, options = core.connection(target, options)
        return cls(found, **options)

    def close(self) -> None:
        """Ends the connection and all that goes on over it."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self, code: str, *, engine: str, **options: Unpack[calls.SubmitOptions]
    ) -> JobHandle:
        """Submits code; returns when the job is durable, not when it has run.

        Args:
            code: What to run.
            engine: The engine type, with or without a version: `duckdb`, `duckdb-1.5`.
            options: See `SubmitOptions`.

        Returns:
            The handle of the new job, or of the one that the same `request_id` made before.

        Raises:
            InvalidArgument: the engine, the code or another field is wrong; see its violations.
            PermissionDenied: the caller may not name that `execute_user`.
            AlreadyExists: the `request_id` was used before for something else.
            LimitReached: the queue of the job's group is full.
        """
        submission = calls.Submission(code, engine, **options)
        engines = () if submission.run_type else self._engines or self.engines()
        return JobHandle(self, *self._call(calls.submit(submission, engines)))

    def job(self, id: str | int) -> JobHandle:
        """The handle of a job that was submitted before.

        Args:
            id: An execID or a taskID.

        Raises:
            InvalidArgument: it is neither.
            NotFound: it names no job.
            PermissionDenied: the job is somebody else's.
        """
        return JobHandle(self, *self._call(calls.ids(str(id))))

    def list_jobs(self, **filters: Unpack[calls.JobFilters]) -> Iterator[models.Job]:
        """Jobs, newest first, without code and parameters; pages are asked for as they are needed.

        Args:
            filters: See `JobFilters`.

        Raises:
            InvalidArgument: a filter is wrong.
        """
        return self._pages(calls.jobs(filters))

    def engines(self) -> tuple[models.Engine, ...]:
        """The engines of the installation with their run types, by name."""
        self._engines = self._call(calls.list_engines())
        return self._engines

    def kill_jobs(self, ids: Iterable[str | int]) -> tuple[models.KillOutcome, ...]:
        """Kills several jobs; one that can't be killed does not stop the others.

        Args:
            ids: An execID or a taskID for each job; at most 1,000.

        Returns:
            What became of each, in the same order.
        """
        return self._call(calls.kill_jobs([str(id) for id in ids]))

    def _call(self, call: calls.Call[T]) -> T:
        """Makes a call, again where that helps."""
        settings = self._settings
        attempts = settings.attempts(call.repeatable)
        method = self._methods[call.rpc]
        while True:
            timeout = attempts.time_left()
            try:
                return call.read(method(call.request, timeout=timeout, metadata=settings.metadata))
            except grpc.RpcError as error:
                time.sleep(attempts.after(settings.failure(error)))

    def _pages(self, paging: calls.Paging[T]) -> Iterator[T]:
        """The items of all pages."""
        token: str | None = ""
        while token is not None:
            page = self._call(paging(token))
            yield from page.items
            token = page.next_token or None

    def _follow(self, follow: follows.Follow[T], deadline: float | None = None) -> Iterator[T]:
        """What is new, over as many streams as it takes."""
        settings = self._settings
        attempts = settings.stream_attempts(deadline)
        method = self._methods[follow.rpc]
        while True:
            timeout = attempts.time_left()
            stream = method(follow.request(), timeout=timeout, metadata=settings.metadata)
            try:
                for message in stream:
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
            time.sleep(attempts.after(failure))


class JobHandle:
    """One job, by its two ids. Beside what a method names, each may raise what `Client` says.

    Attributes:
        exec_id: Names the job and the instance that holds it.
        task_id: The job's number, unique in the installation.
    """

    def __init__(self, client: Client, exec_id: str, task_id: int) -> None:
        self._client = client
        self.exec_id = exec_id
        self.task_id = task_id

    def __repr__(self) -> str:
        return f"<JobHandle {self.task_id}>"

    def status(self) -> models.JobStatus:
        """Where the job is in its life."""
        return self._client._call(calls.status(self.exec_id))

    def get(self) -> models.Job:
        """Everything about the job."""
        return self._client._call(calls.get_job(self.exec_id))

    def log(self, from_line: int = 1, size: int = 100) -> models.LogPage:
        """Lines that are in the log now, during the run or after it.

        Args:
            from_line: The first line, from 1. A start past the end gives no line.
            size: Lines at most, up to 10,000; an answer is also cut at about 2 MiB.
        """
        return self._client._call(calls.log(self.exec_id, from_line, size))

    def follow_log(
        self, from_line: int = 1, levels: Sequence[models.LogLevel] = ()
    ) -> Iterator[models.LogLine]:
        """Lines as they are written, each exactly once, until the job has ended.

        A broken connection is taken up again where it broke.

        Args:
            from_line: The first line, from 1.
            levels: Only lines of these. Empty: all.

        Raises:
            Unavailable: the service stayed away for longer than the client's `Retries` allow.
        """
        return self._client._follow(follows.LogFollow(self.exec_id, from_line, levels))

    def progress(self) -> models.Progress:
        """How far the job is now."""
        follow = follows.ProgressFollow(self.exec_id)
        return next(self._client._follow(follow, self._client._settings.deadline))

    def follow_progress(self) -> Iterator[models.Progress]:
        """The progress now and after each change, until the job has ended.

        Changes that a slow reader misses are merged; the last item has a final status.

        Raises:
            Unavailable: as for `follow_log`.
        """
        return self._client._follow(follows.ProgressFollow(self.exec_id))

    def watch(self) -> Iterator[models.Job]:
        """The job now and after each change of status, pause or results, until it has ended.

        Raises:
            Unavailable: as for `follow_log`.
        """
        return self._client._follow(follows.JobFollow(self.exec_id))

    def wait(self, timeout: float | None = None, *, check: bool = False) -> models.Job:
        """The job once it has ended.

        Args:
            timeout: Seconds to wait. None: as long as it takes.
            check: Whether an end that is no success is an error.

        Raises:
            DeadlineExceeded: it has not ended in time; it goes on.
            JobFailed: with `check`, it did not succeed.
            Unavailable: as for `follow_log`.
        """
        follow = follows.JobFollow(self.exec_id)
        try:
            for _job in self._client._follow(follow, timeout):
                pass
        except errors.DeadlineExceeded as error:
            raise core.still_going(follow, error, timeout) from None
        return core.ended(follow, check=check)

    def kill(self) -> None:
        """Ends the job and every process of it.

        Raises:
            WrongState: it has ended already.
        """
        self._client._call(calls.kill(self.exec_id))

    def pause(self) -> None:
        """Holds the job while it waits, or freezes it while it runs. A paused one stays as it is.

        Raises:
            WrongState: it has ended.
        """
        self._client._call(calls.pause(self.exec_id))

    def resume(self) -> None:
        """Lets a paused job go on. Another one stays as it is.

        Raises:
            WrongState: it has ended.
        """
        self._client._call(calls.resume(self.exec_id))

    def results(self) -> list[models.ResultSet]:
        """What result sets there are so far, in order."""
        return list(self._client._pages(calls.result_sets(self.exec_id)))

    def result(self, index: int = 0, *, wait: bool = True, timeout: float | None = None) -> Result:
        """One result set, to be read.

        Args:
            index: Its place among the job's results, from 0.
            wait: Whether to wait for the job's end first, after which results no longer change.
            timeout: Seconds to wait for it. None: as long as it takes.

        Raises:
            JobFailed: there is none with that index, and the job did not succeed.
            NotFound: there is none with that index.
            DeadlineExceeded: the job has not ended in time.
        """
        job = self.wait(timeout) if wait else None
        try:
            info = self._client._call(calls.result_set(self.exec_id, index))
        except errors.NotFound as error:
            raise core.no_result(error, job) from error
        return Result(self._client, self.exec_id, info)


class Result:
    """One result set of a job; nothing of its content is read before it is asked for.

    Attributes:
        info: What it is.
    """

    def __init__(self, client: Client, exec_id: str, info: models.ResultSet) -> None:
        self._client = client
        self._exec_id = exec_id
        self.info = info

    def batches(self) -> Iterator[pyarrow.RecordBatch]:
        """The table, batch by batch, none of them before it is asked for.

        Raises:
            InvalidArgument: the result is no table.
        """
        core.of_type(self.info, models.ResultType.TABLE)
        return self._client._follow(follows.BatchFollow(self._exec_id, self.info.index))

    def reader(self) -> pyarrow.RecordBatchReader:
        """The table as a reader, which libraries that speak Arrow take; it waits for each batch.

        Raises:
            InvalidArgument: the result is no table.
        """
        import pyarrow

        core.of_type(self.info, models.ResultType.TABLE)
        follow = follows.BatchFollow(self._exec_id, self.info.index)
        batches = self._client._follow(follow)
        first = list(itertools.islice(batches, 1))
        all_batches = itertools.chain(first, batches)
        return pyarrow.RecordBatchReader.from_batches(follow.schema, all_batches)

    def to_arrow(self) -> pyarrow.Table:
        """The whole table in memory.

        Raises:
            InvalidArgument: the result is no table.
        """
        core.of_type(self.info, models.ResultType.TABLE)
        follow = follows.BatchFollow(self._exec_id, self.info.index)
        return follow.table(list(self._client._follow(follow)))

    def rows(self) -> Iterator[models.Row]:
        """The table's rows as text, read page by page.

        Raises:
            InvalidArgument: the result is no table.
        """
        core.of_type(self.info, models.ResultType.TABLE)
        return self._client._pages(calls.rows(self._exec_id, self.info.index))

    def pieces(self) -> Iterator[builtins.bytes]:
        """The content of a picture, page or text, piece by piece.

        Raises:
            InvalidArgument: the result is a table.
        """
        core.of_type(self.info, *core.MEDIA)
        return self._client._follow(follows.BytesFollow(self._exec_id, self.info.index))

    def bytes(self) -> builtins.bytes:
        """The whole content of a picture, page or text.

        Raises:
            InvalidArgument: the result is a table.
        """
        return b"".join(self.pieces())

    def text(self) -> str:
        """The whole text or HTML.

        Raises:
            InvalidArgument: the result is a table or a picture.
        """
        core.of_type(self.info, models.ResultType.TEXT, models.ResultType.HTML)
        return self.bytes().decode()
