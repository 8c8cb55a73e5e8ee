"""Shell scripts, each by a shell process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from entrance_runner.engine import (
    Engine,
    EngineUnavailable,
    Report,
    RunRequest,
    Session,
    SessionContext,
)
from entrance_runner.errors import ErrorCode, RunFailed, engine_died, exit_text
from entrance_runner.limits import Usage, cores_parameter, memory_parameter
from entrance_runner.parameters import Parameter, ParameterType, Scope

ENVIRONMENT = "env."  # followed by the name of a variable
VERSION_TIMEOUT = 5.0  # seconds
SHORT_CODE = 4096  # characters


class ShellEngine(Engine):
    """Runs scripts by bash, or by sh where there is no bash."""

    engine_type: ClassVar[str] = "shell"
    run_types: ClassVar[Sequence[str]] = ("shell", "sh")
    has_results: ClassVar[bool] = False
    description: ClassVar[str] = "Shell scripts by bash, or by sh where there is no bash."
    parameters: ClassVar[Sequence[Parameter]] = (
        *(memory_parameter("shell", scope) for scope in Scope),
        *(cores_parameter("shell", scope) for scope in Scope),
        Parameter(
            f"{ENVIRONMENT}*",
            ParameterType.TEXT,
            "A variable of the environment in which the script runs.",
            Scope.RUNTIME,
        ),
    )

    @classmethod
    def version(cls) -> str:
        """The version that bash tells; `sh` where there is no bash."""
        shell = find_shell(None)
        if os.path.basename(shell) == "sh":
            return "sh"
        command = [shell, "-c", 'printf %s "${BASH_VERSION%%(*}"']
        try:
            return subprocess.run(
                command, capture_output=True, text=True, timeout=VERSION_TIMEOUT, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineUnavailable(f"{shell} does not run: {error}") from None

    async def open(self, context: SessionContext) -> Session:
        """Opens a session; nothing runs before its first script."""
        return ShellSession(context, find_shell(context.environment.get("PATH")))


class ShellSession(Session):
    """A directory and an environment for scripts."""

    def __init__(self, context: SessionContext, shell: str) -> None:
        self._context = context
        self._shell = shell

    @property
    def usable(self) -> bool:
        """Whether another script can be started."""
        return self._context.processes.can_spawn

    async def run(self, request: RunRequest, report: Report) -> None:
        """Runs a script from a file: neither its size nor what it reads from its input matters."""
        script = self._context.scratch / "script"
        if len(request.code) <= SHORT_CODE:  # to hand it to a thread would take longer
            self._write(script, request.code)
        else:
            await asyncio.to_thread(self._write, script, request.code)
        usage = Usage.of("shell", {**self._context.options, **request.options})
        variables = {
            name.removeprefix(ENVIRONMENT): text
            for name, text in request.options.items()
            if name.startswith(ENVIRONMENT)
        }
        try:
            with usage.on_cores():
                process = await self._context.processes.spawn(
                    usage.limited([self._shell, str(script)]),
                    cwd=self._context.working_directory,
                    env=usage.environment({**self._context.environment, **variables}),
                    output=self._context.output,
                )
        except OSError as error:
            raise RunFailed(ErrorCode.ENGINE_DIED, f"the shell does not start: {error}") from None
        report.begun()
        status = await process.wait()
        if status is None:
            raise engine_died(status)
        if status != 0:
            raise RunFailed(ErrorCode.SHELL_EXIT, exit_text(status))

    def _write(self, script: Path, code: str) -> None:
        script.unlink(missing_ok=True)  # the last one belongs to the code
        script.write_text(code, encoding="utf-8", newline="")
        self._context.confinement.give(script)

    async def interrupt(self) -> None:
        """Sends SIGTERM to the script and to everything that it started."""
        self._context.processes.signal(signal.SIGTERM)

    async def close(self) -> None:
        """Nothing is held between scripts."""


def find_shell(path: str | None) -> str:
    """The shell to use, searched for in `path` as the environment variable PATH has it.

    Raises:
        EngineUnavailable: there is none.
    """
    for name in ("bash", "sh"):
        if shell := shutil.which(name, path=path):
            return shell
    raise EngineUnavailable("neither bash nor sh is in PATH")
