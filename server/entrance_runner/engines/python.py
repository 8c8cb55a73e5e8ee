"""Python code by an IPython kernel that keeps its variables from run to run."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from entrance_runner.engine import (
    Engine,
    EngineUnavailable,
    Report,
    RunRequest,
    Session,
    SessionContext,
    package_version,
)
from entrance_runner.engines.cells import described
from entrance_runner.engines.kernel_messages import BEGUN, LINE, RESULT, RESULT_DIRECTORY
from entrance_runner.errors import ErrorCode, RunFailed, engine_died, exit_text
from entrance_runner.interpreter import python_command
from entrance_runner.limits import Usage, cores_parameter, memory_parameter
from entrance_runner.parameters import Parameter
from entrance_runner.results import ResultFile

if TYPE_CHECKING:
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner

OPEN_TIMEOUT = 60.0  # seconds
READY_INTERVAL = 0.1  # seconds
REPLY_TIMEOUT = 10.0  # seconds after the kernel has told that it is idle


class PythonEngine(Engine):
    """Runs Python by an IPython kernel."""

    engine_type: ClassVar[str] = "python"
    run_types: ClassVar[Sequence[str]] = ("python", "py")
    description: ClassVar[str] = "Python by an IPython kernel; variables last for the session."
    parameters: ClassVar[Sequence[Parameter]] = (
        memory_parameter("python"),
        cores_parameter("python"),
    )

    @classmethod
    def version(cls) -> str:
        """The version of IPython."""
        package_version("ipykernel")
        return package_version("ipython")

    async def open(self, context: SessionContext) -> Session:
        """Starts a kernel and waits until it answers."""
        usage = Usage.of("python", context.options)
        manager = _kernel_manager(context, usage)
        with context.processes.starting(), usage.on_cores():
            try:
                await manager.start_kernel(
                    cwd=str(context.working_directory),
                    env=context.confinement.environment(usage.environment(context.environment)),
                    stdin=subprocess.DEVNULL,
                    stdout=context.output,
                    stderr=context.output,
                )
            except OSError as error:
                raise EngineUnavailable(f"the kernel does not start: {error}") from None
            process = cast("LocalProvisioner", manager.provisioner)
            assert process.pid is not None  # it was started
            context.processes.own(process.pid)
        session = PythonSession(manager, process, usage)
        try:
            await session.wait_ready()
        except BaseException:
            await process.kill()
            await session.close()
            raise
        return session


class PythonSession(Session):
    """One kernel and the connection to it."""

    def __init__(
        self, manager: AsyncKernelManager, process: LocalProvisioner, usage: Usage
    ) -> None:
        self._manager = manager
        self._usage = usage
        self._client: AsyncKernelClient = manager.client()
        self._client.start_channels(stdin=False, hb=False, control=False)
        self._death = asyncio.create_task(process.wait())

    @property
    def usable(self) -> bool:
        """Whether the kernel lives."""
        return not self._death.done()

    async def wait_ready(self) -> None:
        """Waits until the kernel answers.

        Raises:
            EngineUnavailable: it ended, or did not answer in time.
        """
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                while not await self._answers():
                    if self._death.done():
                        status = exit_text(self._death.result())
                        raise EngineUnavailable(
                            f"the kernel ended while it started: {status}{self._usage.hint}"
                        )
        except TimeoutError:
            raise EngineUnavailable(f"the kernel did not start in {OPEN_TIMEOUT:g} s") from None

    async def run(self, request: RunRequest, report: Report) -> None:
        """Runs code as one cell."""
        execution = asyncio.create_task(self._execute(request, report))
        try:
            await asyncio.wait({execution, self._death}, return_when=asyncio.FIRST_COMPLETED)
            if not execution.done():
                raise engine_died(self._death.result())
            reply = execution.result()
        finally:
            execution.cancel()
        if reply["status"] != "ok" and not _is_normal_exit(reply):
            hint = self._usage.hint if reply["ename"] == "MemoryError" else ""
            raise RunFailed(
                ErrorCode.PYTHON_EXCEPTION,
                described(reply["ename"], reply["evalue"], reply.get(LINE, 0)) + hint,
            )

    async def interrupt(self) -> None:
        """Raises KeyboardInterrupt in the code."""
        await self._manager.interrupt_kernel()

    async def close(self) -> None:
        """Closes the connection; the kernel was killed."""
        self._client.stop_channels()
        await self._death
        await self._manager.cleanup_resources()

    async def _execute(self, request: RunRequest, report: Report) -> dict[str, Any]:
        self._client.session.metadata = {RESULT_DIRECTORY: str(request.result_directory)}
        message_id = self._client.execute(request.code, allow_stdin=False, stop_on_error=False)
        while not _is_idle(message := await self._next("iopub", message_id)):
            data = message["content"].get("data", {})
            if BEGUN in data:
                report.begun()
            elif RESULT in data:
                await report.result(ResultFile.from_json(data[RESULT]))
        try:
            async with asyncio.timeout(REPLY_TIMEOUT):
                reply: dict[str, Any] = (await self._next("shell", message_id))["content"]
        except TimeoutError:  # an interrupt hit the kernel between the code and the reply
            raise RunFailed(ErrorCode.PYTHON_EXCEPTION, "the kernel gave no answer") from None
        return reply

    async def _answers(self) -> bool:
        """Whether a note about a request arrives; those before our subscription are lost."""
        try:
            async with asyncio.timeout(READY_INTERVAL):
                await self._next("iopub", self._client.kernel_info())
        except TimeoutError:
            return False
        return True

    async def _next(self, channel: str, message_id: str) -> dict[str, Any]:
        """The next message of a channel that belongs to a request."""
        while True:
            message: dict[str, Any] = await (
                self._client.get_iopub_msg() if channel == "iopub" else self._client.get_shell_msg()
            )
            if message["parent_header"].get("msg_id") == message_id:
                return message


def _kernel_manager(context: SessionContext, usage: Usage) -> AsyncKernelManager:
    """A manager for our kernel, reached by sockets in a directory of its own."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    command = python_command("entrance_runner.engines.kernel", "{connection_file}", isolated=False)

    argv = context.confinement.command(usage.limited(command))
    directory = context.confinement.private_directory()

    class OnlyOurs(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(argv=argv, interrupt_mode="signal")

    class OwnedByCode(AsyncKernelManager):
        def write_connection_file(self, **kwargs: object) -> None:
            super().write_connection_file(**kwargs)
            context.confinement.give(Path(self.connection_file))
            context.confinement.give(directory)

    return OwnedByCode(
        kernel_name="entrance",
        kernel_spec_manager=OnlyOurs(),
        connection_file=str(directory / "kernel.json"),
        transport="ipc",
        ip=str(directory / "kernel"),
    )


def _is_idle(message: dict[str, Any]) -> bool:
    return bool(message["msg_type"] == "status" and message["content"]["execution_state"] == "idle")


def _is_normal_exit(reply: dict[str, Any]) -> bool:
    return reply["ename"] == "SystemExit" and reply["evalue"] in ("", "0", "None")
