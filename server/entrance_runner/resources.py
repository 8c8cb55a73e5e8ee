"""What the processes below the runner use."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import psutil

from entrance_runner.processes import Processes


@dataclass(frozen=True, slots=True)
class Resources:
    """Memory in bytes, cores as a mean since the measurement before."""

    memory_bytes: int
    cores: float
    processes: int


class ResourceMeter:
    """Measures; each measurement tells the cores since the one before.

    The first one tells those since the meter was made, for which it reads what the processes
    `before` have used by then.
    """

    def __init__(self, processes: Processes, before: Collection[psutil.Process]) -> None:
        self._processes = processes
        self._time = time.monotonic()
        self._seconds = {
            process: used.seconds for process in before if (used := _use_of(process)) is not None
        }

    def measure(self) -> Resources:
        """Reads memory and processor time of every process. Blocks for some milliseconds."""
        uses = {
            process: use
            for process in self._processes.living()
            if (use := _use_of(process)) is not None
        }
        seconds = {process: use.seconds for process, use in uses.items()}
        used = sum(value - self._seconds.get(process, 0.0) for process, value in seconds.items())
        now = time.monotonic()
        cores = used / max(now - self._time, 0.001)
        self._seconds, self._time = seconds, now
        memory = sum(use.memory for use in uses.values())
        return Resources(memory, max(cores, 0.0), len(uses))


class _Use(NamedTuple):
    memory: int  # bytes
    seconds: float  # of processor time


def _use_of(process: psutil.Process) -> _Use | None:
    try:
        with process.oneshot():
            times = process.cpu_times()
            return _Use(process.memory_info().rss, times.user + times.system)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
