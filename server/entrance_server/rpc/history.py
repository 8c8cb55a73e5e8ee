"""The RPCs of HistoryService."""

from __future__ import annotations

from entrance.v1 import history_pb2 as pb
from entrance.v1 import history_pb2_grpc
from entrance_server.rpc import caller, tasks
from entrance_server.rpc.edge import Context
from entrance_server.service.history import HistoryService


class HistoryServicer(history_pb2_grpc.HistoryServiceServicer):
    """Serves HistoryService."""

    def __init__(self, history: HistoryService) -> None:
        self._history = history

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> pb.GetTaskResponse:
        task = await self._history.get_task(caller.principal(), request.id)
        return pb.GetTaskResponse(task=tasks.task(task))

    async def ListTasks(
        self, request: pb.ListTasksRequest, context: Context
    ) -> pb.ListTasksResponse:
        page = await self._history.list_tasks(caller.principal(), tasks.query(request))
        return tasks.page(page)

    async def ListUndoneTasks(
        self, request: pb.ListUndoneTasksRequest, context: Context
    ) -> pb.ListUndoneTasksResponse:
        page = await self._history.list_tasks(caller.principal(), tasks.undone_query(request))
        return tasks.undone_page(page)

    async def GetGovernanceStationAdmin(
        self, request: pb.GetGovernanceStationAdminRequest, context: Context
    ) -> pb.GetGovernanceStationAdminResponse:
        is_admin = caller.principal().is_admin
        return pb.GetGovernanceStationAdminResponse(
            admin=is_admin, history_admin=is_admin, can_result_set=True
        )
