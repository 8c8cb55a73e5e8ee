"""What the processes below the runner use."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from entrance_runner.processes import Processes


@dataclass(frozen=True, slots=True)
class Resources:
    """Memory in bytes, cores as a mean since the measurement before."""

    memory_bytes: int
    cores: float
    processes: int


class ResourceMeter:
    """Measures; each measurement tells the cores since the one before."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._seconds: dict[psutil.Process, float] = {}
        self._time = time.monotonic()
        self.measure()

    def measure(self) -> Resources:
        """Reads memory and processor time of every process. Blocks for some milliseconds."""
        memory = 0
        seconds: dict[psutil.Process, float] = {}
        for process in self._processes.living():
            try:
                with process.oneshot():
                    memory += process.memory_info().rss
                    times = process.cpu_times()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            seconds[process] = times.user + times.system
        used = sum(value - self._seconds.get(process, 0.0) for process, value in seconds.items())
        now = time.monotonic()
        cores = used / max(now - self._time, 0.001)
        self._seconds, self._time = seconds, now
        return Resources(memory, max(cores, 0.0), len(seconds))
