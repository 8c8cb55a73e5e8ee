"""How much memory server and gateway have resident while something goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.support.service import Service

MIB = 1024 * 1024
SAMPLE = 0.02  # seconds


@contextmanager
def bounded_memory(service: Service, *, growth: int) -> Iterator[None]:
    """Fails when server or gateway grows by more than so many bytes within the block."""
    watched = {
        "server": psutil.Process(service.server.pid),
        "gateway": psutil.Process(service.gateway.pid),
    }
    before = {name: process.memory_info().rss for name, process in watched.items()}
    peaks = dict(before)
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE):
            for name, process in watched.items():
                peaks[name] = max(peaks[name], process.memory_info().rss)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield
    finally:
        over.set()
        sampler.join()
    grown = {name: (peaks[name] - before[name]) / MIB for name in watched}
    print("grown by MiB:", {name: round(size, 1) for name, size in grown.items()})
    assert max(grown.values()) <= growth / MIB, grown
