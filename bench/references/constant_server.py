"""A grpc.aio server whose Status answers a constant: the most that Python gRPC can do."""

from __future__ import annotations

from typing import Any

from bench.references.serving import arguments, run
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
    run(Constant, arguments().parse_args())
