"""The server's side of one engine session: calls to its runner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf import duration_pb2

from entrance.engine.v1 import engine_pb2 as pb
from entrance.engine.v1 import engine_pb2_grpc
from entrance_server.domain.job import GroupKey
from entrance_server.engines.event_stream import EventStream
from entrance_server.engines.failures import SessionLost, SessionRefused
from entrance_server.engines.runners import Runner
from entrance_server.engines.setup import Setup
from entrance_server.tenure import Tenure

Response = TypeVar("Response")

CALL_DEADLINE = 10.0  # seconds
CONNECT_RETRY = 0.02  # seconds
ALIVE_CHECK = 0.5  # seconds
CLOSED = "the session was closed"


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What jobs that share a session have in common: their group and the startup settings.

    A session that is `only_for` one job is shared by none.
    """

    group: GroupKey
    options: Mapping[str, str] = field(default_factory=dict)
    only_for: int | None = None


class EngineSession:
    """One engine session in a runner, for jobs of one key, one run at a time.

    Once its tenure has ended nothing is done to the runner, which may be another server's by then.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        key: SessionKey | None = None,
        tenure: Tenure | None = None,
    ) -> None:
        self.runner = runner
        self.key = key
        self._tenure = tenure or Tenure()
        self._channel = runner.channel()
        self._stub = engine_pb2_grpc.EngineServiceStub(self._channel)
        self._stream: EventStream | None = None  # one that waits for a run, or to be asked for it

    @property
    def session_id(self) -> str:
        """Names the session."""
        return self.runner.session_id

    async def open(
        self, key: SessionKey, setup: Setup, secrets: Mapping[str, str], *, timeout: float
    ) -> None:
        """Starts the engine; waits for the runner to listen first.

        Args:
            key: What jobs have in common that use the session.
            setup: Its directory, its environment and its settings.
            secrets: Settings that are written nowhere.
            timeout: Seconds that it may take.

        Raises:
            SessionRefused: the engine did not start, or refused an option.
            SessionLost: the runner ended.
        """
        request = pb.OpenSessionRequest(
            session_id=self.session_id,
            engine_type=key.group.engine_type,
            user=key.group.user,
            working_directory=str(setup.working_directory),
            environment=setup.environment,
            options=setup.options,
            secrets=secrets,
        )
        try:
            async with asyncio.timeout(timeout):
                await self._wait_until_listening()
                await _told(lambda: self._while_alive(request, timeout))
        except TimeoutError:
            raise SessionRefused(f"the engine did not start within {timeout:g} seconds") from None
        except SessionLost as lost:
            # the protocol's UNAVAILABLE here: the runner lives, its engine does not
            raise SessionRefused(str(lost)) if await self._answers() else lost from None
        self.key = key

    async def describe(self) -> pb.DescribeResponse:
        """What the runner hosts and does.

        Raises:
            SessionLost: the runner does not answer.
        """
        return await self._call(self._stub.Describe, pb.DescribeRequest())

    async def run(
        self,
        run_id: str,
        *,
        code: str,
        run_type: str,
        result_directory: Path | None,
        options: Mapping[str, str],
    ) -> None:
        """Starts a run; the same run again changes nothing.

        Where its engine has no results, there need be no directory for them.

        Raises:
            SessionRefused: the runner refused it.
            SessionLost: the runner ended.
        """
        run = pb.NewRun(
            run_id=run_id,
            code=code,
            run_type=run_type,
            result_directory=str(result_directory or ""),
            options=options,
        )
        await self._call(self._begin, run)

    async def events(
        self, run_id: str, *, after_seq: int
    ) -> AsyncGenerator[Sequence[pb.Event], None]:
        """The events of a run after a number; asking for the next batch acknowledges the last.

        A stream that breaks while the runner lives is opened again where it broke.

        Raises:
            SessionLost: the runner ended before the run did.
        """
        seq, ended = after_seq, False
        while not ended:
            self._tenure.check()
            try:
                async with (
                    self._open_stream(run_id, seq) as stream,
                    aclosing(stream.events(run_id, after_seq=seq)) as batches,
                ):
                    # read to its own end, since the last acknowledgement comes after the last batch
                    async for events in batches:
                        yield events
                        self._tenure.check()  # what follows is their acknowledgement
                        seq, ended = events[-1].seq, events[-1].HasField("end")
            except grpc.aio.UsageError:
                raise SessionLost(CLOSED) from None
            except grpc.aio.AioRpcError as error:
                if ended:
                    return
                if error.code() not in _CUT_OFF or not self.runner.is_alive():
                    raise SessionLost(self.runner.loss() or _sentence(error)) from None
            if not ended:
                await asyncio.sleep(CONNECT_RETRY)

    async def _begin(self, run: pb.NewRun, timeout: float) -> None:
        async with self._open_stream() as stream:
            await stream.begin(run, timeout=timeout)

    @asynccontextmanager
    async def _open_stream(
        self, run_id: str = "", after_seq: int = 0
    ) -> AsyncIterator[EventStream]:
        """The stream that waits, or a new one; it waits again after a block that ends well."""
        stream, self._stream = self._stream, None
        if stream is None or not stream.can_serve(run_id, after_seq):
            if stream is not None:
                stream.cancel()
            stream = EventStream(self._stub)
        try:
            yield stream
        except BaseException:
            stream.cancel()
            raise
        self._stream = stream

    async def interrupt(self, run_id: str, *, grace: float) -> None:
        """Begins to end a run; its end event tells when it is done."""
        period = duration_pb2.Duration()
        period.FromMilliseconds(int(grace * 1000))
        request = pb.InterruptRequest(run_id=run_id, grace_period=period)
        await self._call(self._stub.Interrupt, request)

    async def pause(self, run_id: str) -> None:
        """Freezes a run."""
        await self._call(self._stub.Pause, pb.PauseRequest(run_id=run_id))

    async def resume(self, run_id: str) -> None:
        """Lets a frozen run go on."""
        await self._call(self._stub.Resume, pb.ResumeRequest(run_id=run_id))

    async def close(self) -> None:
        """Asks the runner to end its session and itself; one that has ended is no error."""
        try:
            if self.runner.is_alive():
                await self.ask_to_close()
            else:
                self.kill()
        except (SessionLost, SessionRefused):
            self.kill()
        finally:
            await self.detach()

    def kill(self) -> None:
        """Ends the runner and all that descends from it, by force."""
        self._tenure.check()
        self.runner.kill_tree()

    async def ask_to_close(self) -> None:
        """Asks the runner to end, and does not make sure that it does."""
        await self._call(self._stub.Close, pb.CloseRequest())

    async def detach(self) -> None:
        """Lets go of the runner without ending it."""
        await self._channel.close()

    async def _answers(self) -> bool:
        try:
            await self.describe()
        except (SessionLost, SessionRefused):
            return False
        return True

    async def _wait_until_listening(self) -> None:
        while not self.runner.is_listening():
            if not self.runner.is_alive():
                raise SessionLost("the runner ended while it started")
            await asyncio.sleep(CONNECT_RETRY)

    async def _while_alive(self, request: pb.OpenSessionRequest, timeout: float) -> None:
        """Opens the session, however long a busy machine takes to let the runner answer."""
        call = self._stub.OpenSession(request, timeout=timeout, wait_for_ready=True)
        opening = asyncio.ensure_future(call)
        while not (await asyncio.wait({opening}, timeout=ALIVE_CHECK))[0]:
            if not self.runner.is_alive():
                call.cancel()
                raise SessionLost("the runner ended while it started")
        await opening

    async def _call(self, rpc: Callable[..., Awaitable[Response]], request: object) -> Response:
        self._tenure.check()
        return await _told(lambda: rpc(request, timeout=CALL_DEADLINE))


_BROKEN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
    }
)


# A write to a stream that has just broken is told as INTERNAL, whatever broke it.
_CUT_OFF = _BROKEN | {grpc.StatusCode.INTERNAL}


async def _told(call: Callable[[], Awaitable[Response]]) -> Response:
    """Makes a call, and tells its failure in words of this package."""
    try:
        return await call()  # made here, since a closed channel refuses to make it
    except grpc.aio.UsageError:
        raise SessionLost(CLOSED) from None
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise SessionLost(CLOSED) from None  # the channel was closed, which cancels its calls
    except grpc.aio.AioRpcError as error:
        if error.code() in _BROKEN:
            raise SessionLost(_sentence(error)) from None
        raise SessionRefused(_sentence(error)) from None


def _sentence(error: grpc.aio.AioRpcError) -> str:
    return error.details() or error.code().name
