"""Blocking work in threads, finished even for a caller that is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_thread(
    executor: Executor | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Runs work in a thread of an executor; None is the loop's own.

    A cancelled caller gets its CancelledError only when the work is done, so that it may give back
    what the work uses, such as a lock or a file.
    """
    running = asyncio.get_running_loop().run_in_executor(
        executor, functools.partial(work, *args, **kwargs)
    )
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        raise
