"""A stream to a runner, for one run after another: its start, its events, acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import grpc
import grpc.aio

from entrance.engine.v1 import engine_pb2 as pb
from entrance.engine.v1 import engine_pb2_grpc


class EventStream:
    """A stream that serves one run at a time, and the next one when the last event was taken."""

    def __init__(self, stub: engine_pb2_grpc.EngineServiceAsyncStub) -> None:
        self._call = stub.StreamEvents()
        self._begun = ""  # the run that was begun here, until its events are asked for

    def can_serve(self, run_id: str = "", after_seq: int = 0) -> bool:
        """Whether it can send events of a run after a number; a run that is to begin has no id."""
        is_free = not self._begun or (self._begun, 0) == (run_id, after_seq)
        return is_free and not self._call.done()

    async def begin(self, run: pb.NewRun, *, timeout: float) -> None:
        """Starts a run, and returns when the runner has taken it; `timeout` is in seconds.

        Raises:
            grpc.aio.AioRpcError: it was refused, or the stream broke; here and in `events`.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._write(pb.StreamEventsRequest(new_run=run))
                taken = await self._read()
        except TimeoutError:
            raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "it does not take the run") from None
        if taken is None:
            raise _runner_ends()
        self._begun = run.run_id

    async def events(
        self, run_id: str, *, after_seq: int
    ) -> AsyncGenerator[Sequence[pb.Event], None]:
        """The events of a run after a number; asking for the next batch acknowledges the last.

        They end early where the runner ends the stream.
        """
        if self._begun != run_id:
            await self._write(pb.StreamEventsRequest(run_id=run_id, seq=after_seq))
        self._begun = ""
        while (response := await self._read()) is not None:
            if not response.events:
                continue
            yield list(response.events)
            if any(map(_is_kept, response.events)):
                await self._write(pb.StreamEventsRequest(seq=response.events[-1].seq))
            if response.events[-1].HasField("end"):
                return

    def cancel(self) -> None:
        """Ends the stream, and nothing of a run."""
        self._call.cancel()

    async def _write(self, request: pb.StreamEventsRequest) -> None:
        try:
            await self._call.write(request)
        except asyncio.InvalidStateError:  # the call has ended: its status tells why
            code, details = await self._call.code(), await self._call.details()
            if code is grpc.StatusCode.OK:
                raise _runner_ends() from None
            raise _error(code, details) from None

    async def _read(self) -> pb.StreamEventsResponse | None:
        response = await self._call.read()
        return response if isinstance(response, pb.StreamEventsResponse) else None


def _is_kept(event: pb.Event) -> bool:
    """Whether a runner keeps it until it is acknowledged: of others it has the newest alone."""
    return event.WhichOneof("kind") not in ("progress", "resource")


def _runner_ends() -> grpc.aio.AioRpcError:
    """What a stream says that ends in order before it has served a run."""
    return _error(grpc.StatusCode.UNAVAILABLE, "the runner ends")


def _error(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)
