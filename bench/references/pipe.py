"""A bare gRPC stream of what a command prints, kept in a file on the way, in pieces of 64 KiB."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import AsyncIterator
from typing import Any

from bench.references.serving import arguments, run
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

PIECE = 64 * 1024


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
            while data := command.stdout.read(PIECE):
                file.write(data)
                yield pb.StreamResultResponse(data=data)


if __name__ == "__main__":
    run(Pipe, arguments().parse_args())
