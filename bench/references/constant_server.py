"""A grpc.aio server whose Status answers a constant: the most that Python gRPC can do."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from bench.references.serving import serve
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc

ANSWER = pb.StatusResponse(
    status=pb.JOB_STATUS_RUNNING, exec_id="exec_id008014entrancehost:9104IDE_admin_1", task_id=1
)


class Constant(entrance_pb2_grpc.EntranceServiceServicer):
    """Answers without looking."""

    async def Status(self, request: pb.StatusRequest, context: Any) -> pb.StatusResponse:
        """The constant."""
        return ANSWER


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ready-file", type=Path, required=True)
    servicer: Any = Constant  # the other methods are not called
    asyncio.run(serve(servicer(), parser.parse_args().ready_file))
