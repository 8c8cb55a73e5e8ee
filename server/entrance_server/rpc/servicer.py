"""The public RPCs: each asks the service and tells what it answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc
from entrance_server.domain.job import Job
from entrance_server.rpc import caller, log_stream, requests, responses, yarn
from entrance_server.rpc.edge import Context
from entrance_server.service.control import ControlService
from entrance_server.service.observe import ObserveService
from entrance_server.service.results import ResultService
from entrance_server.service.submit import SubmitService


class EntranceServicer(entrance_pb2_grpc.EntranceServiceServicer):
    """Serves EntranceService. Its methods just raise; the edge turns errors into statuses.

    `machine` is what loads are a part of.
    """

    def __init__(
        self,
        *,
        submit: SubmitService,
        control: ControlService,
        observe: ObserveService,
        results: ResultService,
        machine: yarn.Machine,
    ) -> None:
        self._submit = submit
        self._control = control
        self._observe = observe
        self._results = results
        self._machine = machine

    async def Execute(self, request: pb.ExecuteRequest, context: Context) -> pb.ExecuteResponse:
        job = await self._accept(request, context)
        return pb.ExecuteResponse(exec_id=job.exec_id, task_id=job.task_id)

    async def Submit(self, request: pb.SubmitRequest, context: Context) -> pb.SubmitResponse:
        job = await self._accept(request, context)
        return pb.SubmitResponse(exec_id=job.exec_id, task_id=job.task_id)

    async def _accept(self, request: pb.ExecuteRequest | pb.SubmitRequest, context: Context) -> Job:
        command = requests.submit_command(request, address=caller.credentials().address)
        return await self._submit.submit(caller.principal(), command)

    async def Preview(self, request: pb.PreviewRequest, context: Context) -> pb.PreviewResponse:
        command = requests.submit_command(request, address=caller.credentials().address)
        return responses.preview(await self._submit.preview(caller.principal(), command))

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusResponse:
        job = await self._observe.get_job(caller.principal(), request.id, task_id=request.task_id)
        return responses.status(job)

    async def Progress(self, request: pb.ProgressRequest, context: Context) -> pb.ProgressResponse:
        view = await self._observe.progress(caller.principal(), request.id)
        return responses.progress(view)

    async def ProgressWithResource(
        self, request: pb.ProgressWithResourceRequest, context: Context
    ) -> pb.ProgressWithResourceResponse:
        view = await self._observe.progress(caller.principal(), request.id)
        return responses.progress_with_resource(view, self._machine)

    async def Log(self, request: pb.LogRequest, context: Context) -> pb.LogResponse:
        page = await self._observe.log(
            caller.principal(),
            request.id,
            from_line=request.from_line,
            size=requests.log_size(request),
            distinct_level=requests.distinct_level(request),
        )
        return responses.log(page)

    async def Kill(self, request: pb.KillRequest, context: Context) -> pb.KillResponse:
        job = await self._control.kill(caller.principal(), request.id, task_id=request.task_id)
        return pb.KillResponse(exec_id=job.exec_id, task_id=job.task_id)

    async def KillJobs(self, request: pb.KillJobsRequest, context: Context) -> pb.KillJobsResponse:
        outcomes = await self._control.kill_jobs(
            caller.principal(), request.id_list, request.task_id_list
        )
        return responses.kill_jobs(outcomes)

    async def Pause(self, request: pb.PauseRequest, context: Context) -> pb.PauseResponse:
        job = await self._control.pause(caller.principal(), request.id)
        return pb.PauseResponse(exec_id=job.exec_id, task_id=job.task_id)

    async def Resume(self, request: pb.ResumeRequest, context: Context) -> pb.ResumeResponse:
        job = await self._control.resume(caller.principal(), request.id)
        return pb.ResumeResponse(exec_id=job.exec_id, task_id=job.task_id)

    async def StreamLog(
        self, request: pb.StreamLogRequest, context: Context
    ) -> AsyncIterator[pb.StreamLogResponse]:
        batches = self._observe.stream_log(
            caller.principal(),
            request.id,
            from_line=request.from_line,
            levels=requests.log_levels(request),
        )
        async with aclosing(batches):
            async for batch in batches:
                for message in log_stream.messages(batch):
                    yield message

    async def StreamProgress(
        self, request: pb.StreamProgressRequest, context: Context
    ) -> AsyncIterator[pb.StreamProgressResponse]:
        async with aclosing(self._observe.stream_progress(caller.principal(), request.id)) as views:
            async for view in views:
                yield responses.progress_change(view, self._machine)

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobResponse]:
        async with aclosing(self._observe.watch(caller.principal(), request.id)) as jobs:
            async for job in jobs:
                yield pb.WatchJobResponse(job=responses.job(job))

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        job = await self._observe.get_job(caller.principal(), request.id)
        return pb.GetJobResponse(job=responses.job(job))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        page = await self._observe.list_jobs(
            caller.principal(),
            requests.job_filter(request),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return responses.jobs(page)

    async def ListResults(
        self, request: pb.ListResultsRequest, context: Context
    ) -> pb.ListResultsResponse:
        page = await self._results.list_results(
            caller.principal(),
            request.id,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return responses.result_sets(page)

    async def ReadResult(
        self, request: pb.ReadResultRequest, context: Context
    ) -> pb.ReadResultResponse:
        page = await self._results.read_result(
            caller.principal(),
            request.id,
            request.index,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        # In a thread: a large page has hundreds of thousands of cells.
        return await asyncio.to_thread(responses.result_page, page)

    async def StreamResult(
        self, request: pb.StreamResultRequest, context: Context
    ) -> AsyncIterator[pb.StreamResultResponse]:
        pieces = self._results.stream_result(
            caller.principal(), request.id, request.index, offset=request.offset
        )
        async with aclosing(pieces):
            async for result, data in pieces:
                for message in responses.result_data(result, data):
                    yield message

    async def ListEngines(
        self, request: pb.ListEnginesRequest, context: Context
    ) -> pb.ListEnginesResponse:
        return responses.engines(self._observe.engines())
