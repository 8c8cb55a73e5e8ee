"""The server's end of its connection to Ray, which a process of its own holds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import structlog

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT = 20.0  # seconds
CLOSE_TIMEOUT = 2.0  # seconds
RETRY_INTERVAL = 2.0  # seconds
LINE_MOST = 1024 * 1024  # bytes

Noticed = Callable[[Any], Awaitable[None]]


class RayUnavailable(Exception):
    """Ray can't be reached; the message says where, and why not."""


class RayRefused(Exception):
    """Ray can't do what it was asked for; the message says why."""


class _Call:
    """A call that waits for its answer."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.notices: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)


class RayLink:
    """Calls Ray; connects again for as long as it has to. An async context manager.

    A connection that is lost ends its calls, and nothing else.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._numbers = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._state = asyncio.Condition()
        self._connected = False
        self._problem = ""  # why it is not connected; "" while it is or tries for the first time
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> RayLink:
        await self._tasks.__aenter__()
        self._keeper = self._tasks.create_task(self._keep())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._keeper.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def call(self, method: str, *, noticed: Noticed | None = None, **arguments: Any) -> Any:
        """Calls a method of the driver.

        Args:
            method: Its name.
            noticed: Told what the driver tells before it answers; what it raises ends the wait.
            arguments: What the method takes, as JSON can tell it.

        Raises:
            RayUnavailable: there is no connection, or it was lost.
            RayRefused: Ray refused.
        """
        await self._ready()
        number, call = next(self._numbers), _Call()
        self._calls[number] = call
        try:
            await self._send({"number": number, "method": method, "arguments": arguments})
            return await _answered(call, noticed)
        finally:
            del self._calls[number]

    async def until_connected(self) -> None:
        """Waits for a connection, however long that takes."""
        async with self._state:
            await self._state.wait_for(lambda: self._connected)

    async def _ready(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT), self._state:
                await self._state.wait_for(lambda: self._connected or self._problem)
        if not self._connected:
            raise self._unavailable()

    def _unavailable(self) -> RayUnavailable:
        problem = self._problem or "it has not answered yet"
        return RayUnavailable(f"Ray at {self.address} is not reachable: {problem}")

    async def _send(self, message: object) -> None:
        if self._process is None or self._process.stdin is None:
            raise self._unavailable()
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()
        except OSError:
            raise self._unavailable() from None

    async def _keep(self) -> None:
        while True:
            await self._connect_once()
            await asyncio.sleep(RETRY_INTERVAL)

    async def _connect_once(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "entrance_server.engines.ray_driver", self.address),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_MOST,
            start_new_session=True,  # a signal for the server is not for it
        )
        self._process = process
        reading = asyncio.create_task(_log_lines(process.stderr))
        try:
            await self._take_answers(process.stdout)
        finally:
            self._process = None
            await asyncio.shield(self._leave(process, reading))

    async def _leave(
        self, process: asyncio.subprocess.Process, reading: asyncio.Task[None]
    ) -> None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        reading.cancel()
        await self._changed(False, self._problem or "the connection was lost")
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(self._unavailable())

    async def _take_answers(self, lines: asyncio.StreamReader | None) -> None:
        assert lines is not None
        while line := await lines.readline():
            message = json.loads(line)
            if "connected" in message:
                log.info("connected to Ray", address=self.address)
                await self._changed(True, "")
            elif "refused" in message:
                await self._changed(False, message["refused"])
            else:
                self._take_answer(message)

    def _take_answer(self, message: dict[str, Any]) -> None:
        call = self._calls.get(message["number"])
        if call is None or call.answer.done():
            return
        if "notice" in message:
            if call.notices.empty():
                call.notices.put_nowait(message["notice"])
        elif "gone" in message:
            reason = f"Ray at {self.address} is not reachable: {message['gone']}"
            call.answer.set_exception(RayUnavailable(reason))
        elif "error" in message:
            call.answer.set_exception(RayRefused(message["error"]))
        else:
            call.answer.set_result(message["result"])

    async def _changed(self, connected: bool, problem: str) -> None:
        if problem and problem != self._problem:
            log.error("no connection to Ray", address=self.address, reason=problem)
        async with self._state:
            self._connected, self._problem = connected, problem
            self._state.notify_all()


async def _answered(call: _Call, noticed: Noticed | None) -> Any:
    while True:
        notice = asyncio.ensure_future(call.notices.get())
        try:
            await asyncio.wait({call.answer, notice}, return_when=asyncio.FIRST_COMPLETED)
            if call.answer.done():
                return call.answer.result()
            if noticed is not None:
                await noticed(notice.result())
        finally:
            notice.cancel()


async def _log_lines(lines: asyncio.StreamReader | None) -> None:
    assert lines is not None
    while line := await lines.readline():
        log.debug("Ray says", line=line.decode(errors="replace").rstrip())
