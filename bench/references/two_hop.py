"""A Starlette route that forwards each request by one unary call: the plain two-hop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.references.serving import arguments, tell
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import entrance_pb2_grpc


def create_app(target: str) -> Starlette:
    """The application in front of a server."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with grpc.aio.insecure_channel(target) as channel:
            app.state.stub = entrance_pb2_grpc.EntranceServiceStub(channel)
            yield

    async def status(request: Request) -> Response:
        id = request.path_params["id"]
        answer = await request.app.state.stub.Status(pb.StatusRequest(id=id))
        data = {"status": "Running", "execID": answer.exec_id, "taskID": answer.task_id}
        return JSONResponse(
            {
                "method": f"/api/entrance/{id}/status",
                "status": 0,
                "message": "OK",
                "data": data,
            }
        )

    path = "/api/rest_j/v1/entrance/{id}/status"
    return Starlette(routes=[Route(path, status)], lifespan=lifespan)


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--target", required=True)
    options = parser.parse_args()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as uvicorn's own have it
        listener.listen()
        tell(options.ready_file, listener.getsockname()[1])
        config = uvicorn.Config(create_app(options.target), log_level="error", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
