"""A bare gRPC stream of a file's bytes, which are in memory before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bench.references.serving import arguments, run
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc


class Memory(entrance_pb2_grpc.EntranceServiceServicer):
    """StreamResult sends the bytes in pieces."""

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
    parser = arguments()
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--piece", type=int, required=True)
    options = parser.parse_args()
    run(Memory, options, options.file, options.piece)
