"""Server and gateway as child processes: how they are started, watched and ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from entrance.cli.exits import ExitCode
from entrance.cli.problems import Problem
from entrance.signals import signal_name

T = TypeVar("T")

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 30.0  # seconds
POLL_INTERVAL = 0.05  # seconds


def server_command(**options: object) -> list[str]:
    """The module and arguments of a server; what is None or False is left to the environment."""
    return _command("entrance_server", options)


def gateway_command(**options: object) -> list[str]:
    """The module and arguments of a gateway; what is None or False is left to the environment."""
    return _command("entrance_gateway", options)


def _command(module: str, options: Mapping[str, object]) -> list[str]:
    given = {
        f"--{name.replace('_', '-')}": value
        for name, value in options.items()
        if value is not None and value is not False
    }
    flags = (name if value is True else f"{name}={value}" for name, value in given.items())
    return [module, *flags]


class ChildEnded(Problem):
    """A child ended though nobody told it to."""

    def __init__(self, child: Child) -> None:
        code = child.code
        how = signal_name(-code) if code < 0 else f"exit status {code}"
        super().__init__(f"the {child.name} ended by itself: {how}", ExitCode.FAILED)


class Child:
    """A child process with an owner that ends it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    @property
    def code(self) -> int:
        """The exit status, negative for a signal; only once it has ended."""
        return self._process.returncode or 0

    async def ended(self) -> NoReturn:
        """Waits for an end that nobody asked for.

        Raises:
            ChildEnded: it came.
        """
        await self._process.wait()
        raise ChildEnded(self)

    async def stop(self) -> None:
        """Asks it to end, and ends it by force after a while, or at once when cancelled."""
        if self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
        except (TimeoutError, asyncio.CancelledError):
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def running(name: str, command: Sequence[str]) -> AsyncIterator[Child]:
    """A child until the end of the block.

    It has a session of its own, so that Ctrl-C reaches it through its parent alone.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "entrance.cli.child", str(os.getpid()), *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        start_new_session=True,
    )
    child = Child(name, process)
    try:
        yield child
    finally:
        await child.stop()


async def told_by(child: Child, ready_file: Path) -> Mapping[str, Any]:
    """What a child tells of itself in its file, once it does.

    Raises:
        Problem: it ended before, or took too long.
    """
    return await poll(child, lambda: asyncio.to_thread(_told, ready_file))


def _told(ready_file: Path) -> Mapping[str, Any] | None:
    if not ready_file.exists():
        return None
    told: Mapping[str, Any] = json.loads(ready_file.read_text())
    return told


async def poll(child: Child, look: Callable[[], Awaitable[T | None]]) -> T:
    """What a look finds, as soon as it finds something.

    Raises:
        Problem: the child ended before, or it took too long.
    """

    async def until_found() -> T:
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(POLL_INTERVAL)

    try:
        async with asyncio.timeout(START_TIMEOUT):
            return await first([until_found(), child.ended()])
    except TimeoutError:
        message = f"the {child.name} did not start within {START_TIMEOUT:g} seconds"
        raise Problem(message, ExitCode.FAILED) from None


async def first(works: Sequence[Coroutine[None, None, T]]) -> T:
    """What the first to end gives or raises; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
