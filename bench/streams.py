"""Many followers of one job's log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

import grpc

from bench.processes import Service
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

SETTINGS = {"ENTRANCE_MAX_STREAMS_PER_USER": "100000"}
CHANNEL_STREAMS = 500  # on one connection
_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]  # so that each channel has its connection

Stream: TypeAlias = "grpc.aio.UnaryStreamCall[pb.StreamLogRequest, pb.StreamLogResponse]"


@asynccontextmanager
async def followers(service: Service, task_id: int, count: int) -> AsyncIterator[list[Stream]]:
    """Streams of a job's log, from its first line, each of which has begun."""
    request = pb.StreamLogRequest(id=str(task_id))
    async with AsyncExitStack() as stack:
        streams = list[Stream]()
        for number in range(count):
            if number % CHANNEL_STREAMS == 0:
                channel = grpc.aio.insecure_channel(service.target, options=_OPTIONS)
                stub = entrance_pb2_grpc.EntranceServiceStub(
                    await stack.enter_async_context(channel)
                )
            streams.append(stub.StreamLog(request, metadata=service.metadata))
        for stream in streams:
            await stream.initial_metadata()
        yield streams
        for stream in streams:
            stream.cancel()
