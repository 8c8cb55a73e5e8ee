"""The runner's gRPC edge: requests to the host, its errors to status codes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from entrance.engine.v1 import engine_pb2 as pb
from entrance.engine.v1 import engine_pb2_grpc
from entrance_runner.engine import EngineUnavailable, InvalidOption, RunRequest
from entrance_runner.events import REPLACED, EventBuffer, Superseded
from entrance_runner.host import (
    DirectoryUnavailable,
    Host,
    InvalidRequest,
    UnknownRun,
    WrongState,
)
from entrance_runner.presence import Presence

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]

AHEAD = 2  # messages that are sent before the first of them is acknowledged
PATIENCE = 0.1  # seconds that a further one waits for it

CODES = {
    WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    UnknownRun: grpc.StatusCode.NOT_FOUND,
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    InvalidOption: grpc.StatusCode.INVALID_ARGUMENT,
    DirectoryUnavailable: grpc.StatusCode.UNAVAILABLE,
    EngineUnavailable: grpc.StatusCode.UNAVAILABLE,
    Superseded: grpc.StatusCode.ABORTED,
}


class EngineServicer(engine_pb2_grpc.EngineServiceServicer):
    """Answers for one host; `stop` begins the end of the runner."""

    def __init__(self, host: Host, presence: Presence, stop: Callable[[], None]) -> None:
        self._host = host
        self._presence = presence
        self._stop = stop
        self._ending = asyncio.get_running_loop().create_future()

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:
        """What the runner hosts and does."""
        async with self._call(context):
            run = self._host.run
            return pb.DescribeResponse(
                pid=os.getpid(),
                session_id=self._host.session_id,
                engine_type=self._host.engine_type,
                run_id=run.request.run_id if run else "",
                last_seq=run.events.last_seq if run else 0,
                paused=run.paused if run else False,
            )

    async def OpenSession(
        self, request: pb.OpenSessionRequest, context: Context
    ) -> pb.OpenSessionResponse:
        """Starts the engine."""
        async with self._call(context):
            version = await self._host.open(
                session_id=request.session_id,
                engine_type=request.engine_type,
                user=request.user,
                working_directory=request.working_directory,
                environment=request.environment,
                options=request.options,
                secrets=request.secrets,
            )
            return pb.OpenSessionResponse(engine_version=version)

    async def StreamEvents(  # type: ignore[override]  # it writes to the context
        self, request_iterator: AsyncIterator[pb.StreamEventsRequest], context: Context
    ) -> None:
        """Starts runs and sends their events, while the one before is acknowledged to its end."""
        async with self._call(context):
            requests = aiter(request_iterator)
            while (request := await self._next(requests)) is not None:
                run_id = request.run_id
                if request.HasField("new_run"):
                    self._host.start(_run_request(request.new_run))
                    await context.write(pb.StreamEventsResponse())
                    run_id = request.new_run.run_id
                events = self._host.find_run(run_id).events
                if not await _exchange(context, events, request.seq, requests):
                    return

    async def _next(
        self, requests: AsyncIterator[pb.StreamEventsRequest]
    ) -> pb.StreamEventsRequest | None:
        """The request that names a run; None where none comes any more, or the runner ends."""
        coming = asyncio.ensure_future(anext(requests, None))
        try:
            await asyncio.wait({coming, self._ending}, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            coming.cancel()

    def end_idle_streams(self) -> None:
        """Ends streams between two runs: a client may hold one open for ever."""
        if not self._ending.done():
            self._ending.set_result(None)

    async def Interrupt(
        self, request: pb.InterruptRequest, context: Context
    ) -> pb.InterruptResponse:
        """Begins to end a run."""
        async with self._call(context):
            self._host.interrupt(request.run_id, request.grace_period.ToTimedelta().total_seconds())
            return pb.InterruptResponse()

    async def Pause(self, request: pb.PauseRequest, context: Context) -> pb.PauseResponse:
        """Freezes a run."""
        async with self._call(context):
            await self._host.find_run(request.run_id).pause()
            return pb.PauseResponse()

    async def Resume(self, request: pb.ResumeRequest, context: Context) -> pb.ResumeResponse:
        """Lets a frozen run go on."""
        async with self._call(context):
            await self._host.find_run(request.run_id).resume()
            return pb.ResumeResponse()

    async def Close(self, request: pb.CloseRequest, context: Context) -> pb.CloseResponse:
        """Ends the runner."""
        async with self._call(context):
            self._stop()
            return pb.CloseResponse()

    @contextlib.asynccontextmanager
    async def _call(self, context: Context) -> AsyncIterator[None]:
        with self._presence.call():
            try:
                yield
            except tuple(CODES) as error:
                await context.abort(CODES[type(error)], str(error))


def _run_request(run: pb.NewRun) -> RunRequest:
    return RunRequest(
        run_id=run.run_id,
        code=run.code,
        run_type=run.run_type,
        result_directory=Path(run.result_directory),
        options=dict(run.options),
    )


async def _exchange(
    context: Context,
    events: EventBuffer,
    seq: int,
    requests: AsyncIterator[pb.StreamEventsRequest],
) -> bool:
    """Sends the events of a run; whether this stream has seen all of them acknowledged."""
    reader = events.take_over()
    acknowledging = asyncio.create_task(_acknowledge(requests, events))
    finished = asyncio.create_task(events.wait_finished(reader))
    try:
        await _send(context, events, seq, reader)
        await asyncio.wait({acknowledging, finished}, return_when=asyncio.FIRST_COMPLETED)
        if finished.done():
            finished.result()
        return acknowledging.done() and acknowledging.result()
    finally:
        acknowledging.cancel()
        finished.cancel()


async def _acknowledge(
    requests: AsyncIterator[pb.StreamEventsRequest], events: EventBuffer
) -> bool:
    """Takes acknowledgements up to that of the end; whether that came."""
    async for request in requests:
        events.acknowledge(request.seq)
        if events.finished:
            return True
    return False


async def _send(context: Context, events: EventBuffer, seq: int, reader: int) -> None:
    sent = deque[int](maxlen=AHEAD)
    while batch := await events.after(seq, reader):
        await context.write(pb.StreamEventsResponse(events=batch))
        seq = batch[-1].seq
        if batch[-1].HasField("end"):
            return
        if any(event.WhichOneof("kind") not in REPLACED for event in batch):
            sent.append(seq)
        if len(sent) == AHEAD:  # a reader that is slow to acknowledge gets more at once
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(events.wait_acknowledged(sent[0]), PATIENCE)
