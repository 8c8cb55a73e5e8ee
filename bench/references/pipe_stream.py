"""A bare gRPC stream of what a command prints, kept in a file on the way, in pieces of 64 KiB."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.references.serving import serve
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

CHUNK = 64 * 1024


class Pipe(entrance_pb2_grpc.EntranceServiceServicer):
    """StreamResult runs the command that the id is, and sends what it prints."""

    async def StreamResult(
        self, request: pb.StreamResultRequest, context: Any
    ) -> AsyncIterator[pb.StreamResultResponse]:
        """The bytes."""
        with (
            subprocess.Popen(  # noqa: ASYNC220 - as bare as it can be
                ["bash", "-c", request.id], stdout=subprocess.PIPE
            ) as command,
            tempfile.TemporaryFile() as file,
        ):
            assert command.stdout is not None
            while data := command.stdout.read(CHUNK):
                file.write(data)
                yield pb.StreamResultResponse(data=data)


class Memory(entrance_pb2_grpc.EntranceServiceServicer):
    """StreamResult sends the bytes of a file that was read before, in pieces."""

    def __init__(self, file: Path, piece: int) -> None:
        content = file.read_bytes()
        self._pieces = [content[at : at + piece] for at in range(0, len(content), piece)]

    async def StreamResult(
        self, request: pb.StreamResultRequest, context: Any
    ) -> AsyncIterator[pb.StreamResultResponse]:
        """The bytes."""
        for piece in self._pieces:
            yield pb.StreamResultResponse(data=piece)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--file", type=Path, help="send this file's bytes")
    parser.add_argument("--piece", type=int, default=CHUNK)
    options = parser.parse_args()
    source: Any = Pipe  # the other methods are not called
    if options.file:
        memory: Any = Memory
        source = partial(memory, options.file, options.piece)
    asyncio.run(serve(source(), options.ready_file))
