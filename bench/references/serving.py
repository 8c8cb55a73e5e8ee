"""Serves one servicer on a free port, which it tells in a file."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import grpc

from entrance.v1 import entrance_pb2_grpc


def arguments() -> argparse.ArgumentParser:
    """What every reference is told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ready-file", type=Path, required=True)
    return parser


def run(
    servicer: Callable[..., entrance_pb2_grpc.EntranceServiceServicer],
    options: argparse.Namespace,
    *given: object,
) -> None:
    """Serves what is made from the arguments, until the process is ended."""
    asyncio.run(_serve(servicer(*given), options.ready_file))


def tell(ready_file: Path, port: int) -> None:
    """Writes where calls are answered, at once or not at all."""
    unfinished = ready_file.with_suffix(".new")
    unfinished.write_text(json.dumps({"port": port}))
    unfinished.replace(ready_file)


async def _serve(servicer: entrance_pb2_grpc.EntranceServiceServicer, ready_file: Path) -> None:
    server = grpc.aio.server()
    entrance_pb2_grpc.add_EntranceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await asyncio.to_thread(tell, ready_file, port)
    await server.wait_for_termination()
