"""Ours and the reference by turns, and the time that calls take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def alternate(rounds: int, *measures: Callable[[], T]) -> list[list[T]]:
    """What each measures, once in each round, so that a busy moment of the machine meets all."""
    measured = [[measure() for measure in measures] for _ in range(rounds)]
    return [list(values) for values in zip(*measured, strict=True)]


def milliseconds(call: Callable[[], object], times: int = 1) -> float:
    """Of one call, on average over some."""
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun) / times * 1000
