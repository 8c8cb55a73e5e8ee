"""A grpc.aio server whose Status answers a constant: the most that Python gRPC can do."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import grpc

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


async def serve(ready_file: Path) -> None:
    """Serves until the process is ended."""
    server = grpc.aio.server()
    servicer: Any = Constant  # the other methods are not called
    entrance_pb2_grpc.add_EntranceServiceServicer_to_server(servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await asyncio.to_thread(ready_file.write_text, json.dumps({"port": port}))
    await server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ready-file", type=Path, required=True)
    asyncio.run(serve(parser.parse_args().ready_file))
