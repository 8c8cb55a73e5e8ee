"""What processes have resident in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

KIB = 1024
MIB = 1024 * 1024
SAMPLE = 0.05  # seconds


@dataclass(slots=True)
class Peaks:
    """The most bytes that were seen of a server, and of any one runner below it."""

    server: float = 0.0
    runner: float = 0.0


def of_server(pid: int) -> int:
    """Bytes now."""
    resident: int = psutil.Process(pid).memory_info().rss
    return resident


@contextmanager
def peaks(server_pid: int) -> Iterator[Peaks]:
    """The peaks of the block, known at its end."""
    seen, over = Peaks(), threading.Event()

    def sample() -> None:
        server = psutil.Process(server_pid)
        while True:
            seen.server = max(seen.server, server.memory_info().rss)
            seen.runner = max([seen.runner, *_runners(server)])
            if over.wait(SAMPLE):
                return

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield seen
    finally:
        over.set()
        sampler.join()


def _runners(server: psutil.Process) -> Iterator[float]:
    for child in server.children(recursive=True):
        try:
            if "entrance_runner" in " ".join(child.cmdline()):
                yield child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
