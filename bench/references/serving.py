"""Serves one servicer on a free port, which it tells in a file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc

from entrance.v1 import entrance_pb2_grpc


async def serve(servicer: entrance_pb2_grpc.EntranceServiceServicer, ready_file: Path) -> None:
    """Serves until the process is ended."""
    server = grpc.aio.server()
    entrance_pb2_grpc.add_EntranceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await asyncio.to_thread(ready_file.write_text, json.dumps({"port": port}))
    await server.wait_for_termination()
