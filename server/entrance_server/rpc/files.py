"""The RPCs of FileService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from entrance.v1 import files_pb2 as pb
from entrance.v1 import files_pb2_grpc
from entrance_server.rpc import caller, file_messages
from entrance_server.rpc.edge import Context
from entrance_server.service.files import FileService


class FileServicer(files_pb2_grpc.FileServiceServicer):
    """Serves FileService."""

    def __init__(self, files: FileService) -> None:
        self._files = files

    async def GetDirFileTrees(
        self, request: pb.GetDirFileTreesRequest, context: Context
    ) -> pb.GetDirFileTreesResponse:
        found = await self._files.tree(caller.principal(), request.path)
        return file_messages.listing(found)

    async def OpenFile(self, request: pb.OpenFileRequest, context: Context) -> pb.OpenFileResponse:
        page = await self._files.open_result(
            caller.principal(), request.path, file_messages.page_request(request)
        )
        # in a thread: a large page has millions of cells
        return await asyncio.to_thread(file_messages.page, page, file_messages.null_of(request))

    async def OpenLog(self, request: pb.OpenLogRequest, context: Context) -> pb.OpenLogResponse:
        log = await self._files.open_log(
            caller.principal(), request.path, file_messages.levels(request)
        )
        return pb.OpenLogResponse(log=log)

    async def ResultsetToExcel(
        self, request: pb.ResultsetToExcelRequest, context: Context
    ) -> AsyncIterator[pb.ResultsetToExcelResponse]:
        head, pieces = await self._files.export(
            caller.principal(), request.path, file_messages.export_request(request)
        )
        sent = file_messages.messages(head, pieces, pb.ResultsetToExcelResponse)
        async with aclosing(sent):
            async for message in sent:
                yield message

    async def Download(
        self, request: pb.DownloadRequest, context: Context
    ) -> AsyncIterator[pb.DownloadResponse]:
        head, pieces = await self._files.download(caller.principal(), request.path)
        sent = file_messages.messages(head, pieces, pb.DownloadResponse)
        async with aclosing(sent):
            async for message in sent:
                yield message
