"""Jupyter Kernel Gateway, the real one: a kernel over its REST and WebSocket interface."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

from bench import processes
from tests.support.ports import free_port
from tests.support.waiting import until


@contextmanager
def kernel() -> Iterator[Callable[[str], None]]:
    """A function that runs a cell and returns when it is done."""
    port = free_port()
    command = [sys.executable, "-m", "kernel_gateway", f"--KernelGatewayApp.port={port}"]
    with processes.program(command), closing(asyncio.new_event_loop()) as loop:
        id = until(lambda: _start_kernel(port), "Jupyter Kernel Gateway answers")
        socket = loop.run_until_complete(_connect(port, id))
        yield lambda code: loop.run_until_complete(_execute(socket, code))
        socket.close()


def _start_kernel(port: int) -> str | None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/kernels", data=b"{}")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            id: str = json.load(response)["id"]
            return id
    except OSError:
        return None


async def _connect(port: int, id: str) -> WebSocketClientConnection:
    return await websocket_connect(f"ws://127.0.0.1:{port}/api/kernels/{id}/channels")


async def _execute(socket: WebSocketClientConnection, code: str) -> None:
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "session": "bench",
        "username": "",
        "version": "5.3",
    }
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    message = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
    await socket.write_message(json.dumps(message))
    while not _is_idle(json.loads(await _read(socket)), header["msg_id"]):
        pass


async def _read(socket: WebSocketClientConnection) -> str | bytes:
    message = await socket.read_message()
    if message is None:
        raise ConnectionError("the kernel gateway closed the connection")
    return message


def _is_idle(message: dict[str, Any], id: str) -> bool:
    return bool(
        message["parent_header"].get("msg_id") == id
        and message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
    )
