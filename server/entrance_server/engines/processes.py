"""Finds and ends processes of sessions on this machine, most of them nobody's children here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import psutil

# In the environment of user code: by it the processes of a runner that was lost are found.
SESSION_VARIABLE = "ENTRANCE_SESSION"

END_TIMEOUT = 10.0  # seconds
POLL_INTERVAL = 0.02  # seconds

Found: TypeAlias = Mapping[str, Sequence[psutil.Process]]
"""Living processes by the names of their sessions."""


def by_session() -> Found:
    """All processes that have a session's name in their environment, and its runner. Blocks."""
    found = defaultdict[str, list[psutil.Process]](list)
    for process in psutil.process_iter(["environ", "cmdline"]):  # None where it is not shown
        environment, command = process.info["environ"] or {}, process.info["cmdline"] or []
        sessions = {environment[SESSION_VARIABLE]} if SESSION_VARIABLE in environment else set()
        if "entrance_runner" in command[1:4]:  # which hides its environment
            sessions |= {argument.rpartition("/")[2] for argument in command[4:6]}
        for session_id in sessions:
            found[session_id].append(process)
    return found


class Orphans:
    """Ends what ran below runners that did not end in order, and that no parent leads to now.

    All processes are looked at for it, once for all who ask meanwhile: a server that stops may end
    a hundred sessions at once.
    """

    def __init__(self, look: Callable[[], Found] = by_session) -> None:
        self._look = look
        self._looks = 0
        self._found: Found | None = None
        self._looking = asyncio.Lock()

    async def end(self, session_id: str) -> None:
        """Returns when none is left of a session, or when they took too long to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT):
                while orphans := await self._of(session_id):
                    for process in orphans:
                        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                            process.kill()
                    await asyncio.sleep(POLL_INTERVAL)

    async def _of(self, session_id: str) -> Sequence[psutil.Process]:
        """What a look found that began after this was asked."""
        seen = self._looks
        async with self._looking:
            if self._looks == seen or self._found is None:
                self._looks += 1
                self._found = None
                self._found = await asyncio.to_thread(self._look)
            return self._found.get(session_id, ())


async def ended(pid: int, is_alive: Callable[[], bool]) -> None:
    """Waits for the end of a process, whoever started it; `is_alive` tells it from a later one."""
    with _told_of_end(pid) as end:
        while is_alive():
            await (asyncio.sleep(POLL_INTERVAL) if end is None or end.is_set() else end.wait())


@contextlib.contextmanager
def _told_of_end(pid: int) -> Iterator[asyncio.Event | None]:
    """An event for the end of a process; None where the system tells nothing of it."""
    if sys.platform != "linux":
        yield None
        return
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # an old system; or the process has ended
        yield None
        return
    loop, end = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        loop.remove_reader(descriptor)  # it could be read from now on, again and again
        end.set()

    loop.add_reader(descriptor, tell)
    try:
        yield end
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
