"""Sessions whose engine is a library: it lives in a worker process, the runner talks to that.

A worker is a class in a module of its own, derived from `worker_process.Worker`. Messages in either
direction are JSON objects, one a line, on a socket that the worker inherits.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any, Self

from entrance_runner.engine import (
    Application,
    EngineUnavailable,
    InvalidOption,
    Part,
    Progress,
    Report,
    RunRequest,
    Session,
    SessionContext,
)
from entrance_runner.errors import ErrorCode, RunFailed, engine_died
from entrance_runner.interpreter import python_command
from entrance_runner.results import ResultFile
from entrance_runner.starter import Child

OPEN_TIMEOUT = 60.0  # seconds
MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # a table of very many columns


class WorkerSession(Session):
    """A session in a worker process.

    `holds` tells whether a pause waits for the end of a statement, as where what it does elsewhere
    would go on if the process was frozen.
    """

    holds = False

    def __init__(
        self,
        process: Child,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._usable = True
        self._run_id = ""

    @classmethod
    async def start(cls, context: SessionContext, worker: str) -> Self:
        """Starts the worker of a class, given as `module:class`.

        Raises:
            EngineUnavailable: the worker does not start.
            InvalidOption: the worker refuses an option.
        """
        session = await cls._spawn(context, worker)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await session._open({**context.options, **context.secrets})
        except TimeoutError:
            await session._abort()
            raise EngineUnavailable(f"the engine did not start in {OPEN_TIMEOUT:g} s") from None
        except BaseException:
            await session._abort()
            raise
        return session

    @classmethod
    async def _spawn(cls, context: SessionContext, worker: str) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await context.processes.spawn(
                    python_command(
                        "entrance_runner.worker_process",
                        worker,
                        str(theirs.fileno()),
                        isolated=True,
                    ),
                    cwd=context.working_directory,
                    env=context.environment,
                    output=context.output,
                    pass_fds=[theirs.fileno()],
                )
            except OSError as error:
                ours.close()
                raise EngineUnavailable(f"the engine's process does not start: {error}") from None
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_MESSAGE_BYTES)
        return cls(process, reader, writer)

    @property
    def usable(self) -> bool:
        """Whether the worker lives and its engine is well."""
        return self._usable and not self._process.is_over

    async def run(self, request: RunRequest, report: Report) -> None:
        """Sends the code, passes on what the worker reports, and returns at its end."""
        self._run_id = request.run_id
        await self._send(
            kind="run",
            run_id=request.run_id,
            code=request.code,
            run_type=request.run_type,
            result_directory=str(request.result_directory),
            options=dict(request.options),
        )
        report.begun()
        while (message := await self._receive())["kind"] != "end":
            match message:
                case {"kind": "progress", "fraction": fraction, "parts": parts}:
                    report.progress(Progress(fraction, tuple(Part(**part) for part in parts)))
                case {"kind": "applications", "applications": applications}:
                    report.applications([Application(**one) for one in applications])
                case {"kind": "result", "result": result}:
                    await report.result(ResultFile.from_json(result))
        self._usable = message["usable"]
        if error := message["error"]:
            raise RunFailed(ErrorCode(error["code"]), error["message"])

    async def interrupt(self) -> None:
        """Asks the worker to interrupt its engine."""
        await self._send(kind="interrupt", run_id=self._run_id)

    async def hold(self) -> bool:
        """Lets no further statement begin, where that is how the worker's runs are paused."""
        if self.holds:
            await self._send(kind="hold")
        return self.holds

    async def go_on(self) -> None:
        """Lets a held run go on."""
        if self.holds:
            await self._send(kind="go_on")

    async def close(self) -> None:
        """Waits for the process, which was killed, and closes the socket."""
        self._usable = False
        self._writer.close()
        await self._process.wait()

    async def _open(self, options: Mapping[str, str]) -> None:
        await self._send(kind="open", options=dict(options))
        try:
            message = await self._receive()
        except RunFailed as failure:
            raise EngineUnavailable(failure.message) from None
        match message:
            case {"kind": "refused", "option": True, "message": text}:
                raise InvalidOption(text)
            case {"kind": "refused", "message": text}:
                raise EngineUnavailable(text)

    async def _abort(self) -> None:
        self._process.kill()
        await self.close()

    async def _send(self, **message: Any) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")
        try:
            await self._writer.drain()
        except ConnectionError:
            raise await self._died() from None

    async def _receive(self) -> dict[str, Any]:
        try:
            line = await self._reader.readline()
        except ConnectionError:
            line = b""
        if not line.endswith(b"\n"):
            raise await self._died()
        message: dict[str, Any] = json.loads(line)
        return message

    async def _died(self) -> RunFailed:
        self._usable = False
        return engine_died(await self._process.wait())
