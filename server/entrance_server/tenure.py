"""How long this server may act for its jobs, by a clock that nobody sets or stops."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK = 1.0  # seconds between looks at the clock, which goes on while the machine sleeps


class TenureEnded(Exception):
    """This server may not act any more: others may have taken over from it."""


class Tenure:
    """Ends at a time that is moved on with each renewal of the server's lease.

    One that is never given an end has none. Any thread may ask.
    """

    def __init__(self) -> None:
        self._end = math.inf
        self._changed = threading.Condition()
        self._left = False

    @staticmethod
    def now() -> float:
        """Seconds, also those in which the process or the machine stood still."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def lasts_until(self, end: float) -> None:
        """Sets the end; one that has ended stays so."""
        with self._changed:
            if not self._has_ended():
                self._end = end
            self._changed.notify_all()

    def end(self) -> None:
        """Ends it now."""
        with self._changed:
            self._end = -math.inf
            self._changed.notify_all()

    def check(self) -> None:
        """Asked right before anything is done that another server could be doing.

        Raises:
            TenureEnded: it has ended.
        """
        if self._has_ended():
            raise TenureEnded("this server has lost its lease")

    @contextmanager
    def watched(self, ended: Callable[[], None]) -> Iterator[None]:
        """Calls back, in a thread, when it ends within the block."""
        watch = threading.Thread(target=self._watch, args=(ended,), name="tenure", daemon=True)
        watch.start()
        try:
            yield
        finally:
            with self._changed:
                self._left = True
                self._changed.notify_all()

    def _watch(self, ended: Callable[[], None]) -> None:
        with self._changed:
            while not (self._has_ended() or self._left):
                self._changed.wait(min(max(self._end - self.now(), 0.0), LOOK))
            if self._left:
                return
        ended()

    def _has_ended(self) -> bool:
        return self.now() >= self._end
