"""The outer process of a runner: however the inner one ends, nothing of it stays behind."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from entrance_runner import prctl

KILL_TIMEOUT = 10.0  # seconds
KILL_INTERVAL = 0.01  # seconds


def run(work: Callable[[], None]) -> int:
    """Does the work in a child process and waits for it. Returns in both processes.

    Orphans come to the child while it lives, and to this process after that. A child whose guard is
    killed gets SIGHUP.

    Returns:
        The child's exit status, negative for a signal; in the child 0.
    """
    prctl.become_subreaper()
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        prctl.end_with_parent(guard)
        work()
        return 0
    return _watch(child)


def exit_like(status: int) -> int:
    """Ends this process by the signal of a negative status; else gives the status to exit with."""
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL's own
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _watch(child: int) -> int:
    os.chdir("/")  # it needs no directory, and so keeps none

    def forward(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    _, status = os.waitpid(child, 0)
    _end_orphans()
    return os.waitstatus_to_exitcode(status)


def _end_orphans() -> None:
    deadline = time.monotonic() + KILL_TIMEOUT
    with contextlib.suppress(ChildProcessError):  # there is none left
        while time.monotonic() < deadline:
            ended, _ = os.waitpid(-1, os.WNOHANG)
            if not ended:
                _kill_descendants()
                time.sleep(KILL_INTERVAL)


def _kill_descendants() -> None:
    import psutil  # here, to keep this process small

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
