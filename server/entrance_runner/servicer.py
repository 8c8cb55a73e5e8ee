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

    async def Run(self, request: pb.RunRequest, context: Context) -> pb.RunResponse:
        """Starts a run."""
        async with self._call(context):
            self._host.start(
                RunRequest(
                    run_id=request.run_id,
                    code=request.code,
                    run_type=request.run_type,
                    result_directory=Path(request.result_directory),
                    options=dict(request.options),
                )
            )
            return pb.RunResponse()

    async def StreamEvents(  # type: ignore[override]  # it writes to the context
        self, request_iterator: AsyncIterator[pb.StreamEventsRequest], context: Context
    ) -> None:
        """Sends events, takes acknowledgements; ends when the run's last event is acknowledged."""
        async with self._call(context):
            first = await anext(aiter(request_iterator), None)
            if first is None:
                return
            events = self._host.find_run(first.run_id).events
            reader = events.take_over()
            acknowledging = asyncio.create_task(_acknowledge(request_iterator, events))
            finished = asyncio.create_task(events.wait_finished(reader))
            try:
                await _send(context, events, first.seq, reader)
                await asyncio.wait({acknowledging, finished}, return_when=asyncio.FIRST_COMPLETED)
                if finished.done():
                    finished.result()
            finally:
                acknowledging.cancel()
                finished.cancel()

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


async def _acknowledge(
    requests: AsyncIterator[pb.StreamEventsRequest], events: EventBuffer
) -> None:
    async for request in requests:
        events.acknowledge(request.seq)


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
