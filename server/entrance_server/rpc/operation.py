"""OperationService: each RPC asks the service and tells what it answered."""

from __future__ import annotations

from entrance.v1 import operation_pb2 as pb
from entrance.v1 import operation_pb2_grpc
from entrance_server.rpc.edge import Context
from entrance_server.service.operation import OperationService


class OperationServicer(operation_pb2_grpc.OperationServiceServicer):
    """Serves OperationService. The edge lets administrators through alone."""

    def __init__(self, operation: OperationService) -> None:
        self._operation = operation

    async def TaskInfo(self, request: pb.TaskInfoRequest, context: Context) -> pb.TaskInfoResponse:
        counts = self._operation.count(
            user=request.user, creator=request.creator, engine_type=request.engine_type_label
        )
        return pb.TaskInfoResponse(
            task_number=counts.waiting + counts.running,
            waiting_number=counts.waiting,
            running_number=counts.running,
        )

    async def RunningTask(
        self, request: pb.RunningTaskRequest, context: Context
    ) -> pb.RunningTaskResponse:
        counts = self._operation.count()
        unfinished = counts.waiting + counts.running
        return pb.RunningTaskResponse(running_number=unfinished, is_completed=unfinished == 0)

    async def IsOnline(self, request: pb.IsOnlineRequest, context: Context) -> pb.IsOnlineResponse:
        return pb.IsOnlineResponse(is_online=self._operation.is_online)

    async def MarkOffline(
        self, request: pb.MarkOfflineRequest, context: Context
    ) -> pb.MarkOfflineResponse:
        await self._operation.set_online(False)
        return pb.MarkOfflineResponse()

    async def BackOnline(
        self, request: pb.BackOnlineRequest, context: Context
    ) -> pb.BackOnlineResponse:
        await self._operation.set_online(True)
        return pb.BackOnlineResponse()

    async def ConsumerInfo(
        self, request: pb.ConsumerInfoRequest, context: Context
    ) -> pb.ConsumerInfoResponse:
        groups = [
            pb.ConsumerInfo(
                user=group.user,
                creator=group.creator,
                engine_type=group.engine_type,
                running=load.running,
                waiting=load.waiting,
                max_running=load.limits.running,
                max_waiting=load.limits.waiting,
            )
            for group, load in self._operation.groups().items()
        ]
        return pb.ConsumerInfoResponse(consumer_info=groups)
