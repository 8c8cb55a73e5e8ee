"""Processor time of programs."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def seconds(pids: Iterable[int]) -> float:
    """What programs, and the children that they have now, have used so far."""
    programs = [psutil.Process(pid) for pid in pids]
    everyone = [one for each in programs for one in (each, *each.children(recursive=True))]
    return sum(sum(one.cpu_times()[:2]) for one in everyone)
