"""Whether and when a failed call is tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from entrance.client import errors


@dataclass(frozen=True, slots=True)
class Retries:
    """How patient a client is with a service that is away. Times in seconds.

    Attributes:
        calls: how often a call is tried again after Unavailable; 0 turns it off.
        streams: how often in a row a followed stream is opened again; lines that arrive start the
            count anew.
        first_delay: the wait before the first new try; each later one doubles it.
        longest_delay: what the wait never exceeds.
    """

    calls: int = 3
    streams: int = 10
    first_delay: float = 0.1
    longest_delay: float = 5.0

    def delay(self, failures: int, share: float) -> float:
        """The wait after so many failures in a row; `share`, from 0 to 1, spreads callers out."""
        longest = min(self.first_delay * 2.0 ** min(failures - 1, 30), self.longest_delay)
        return longest * (0.5 + share / 2)


class Attempts:
    """The tries of one call or one followed stream, within one deadline.

    After a failure `after` either raises it or tells how long to wait before the next try.
    """

    def __init__(
        self,
        retries: Retries,
        *,
        most: int,
        deadline: float | None,
        clock: Callable[[], float] = time.monotonic,
        share: Callable[[], float] = random.random,
    ) -> None:
        self._retries = retries
        self._most = most
        self._deadline = None if deadline is None else clock() + deadline
        self._clock = clock
        self._share = share
        self._failures = 0
        self._last_failure = clock()

    def time_left(self) -> float | None:
        """Seconds for the next try; None without a deadline."""
        return None if self._deadline is None else max(self._deadline - self._clock(), 0.0)

    def progressed(self) -> None:
        """Starts the count anew, since something new arrived."""
        self._failures = 0

    def after(self, error: errors.EntranceError) -> float:
        """The wait before the next try.

        Raises:
            EntranceError: `error`, when another try would not help, or there were enough of them.
        """
        if not isinstance(error, errors.Unavailable):
            raise error
        self._count()
        delay = self._retries.delay(self._failures, self._share())
        left = self.time_left()
        if self._failures > self._most or (left is not None and delay >= left):
            raise error
        return delay

    def _count(self) -> None:
        """Counts a failure; one long after the last is not in a row with it."""
        now = self._clock()
        if now - self._last_failure > 10 * self._retries.longest_delay:
            self._failures = 0
        self._failures += 1
        self._last_failure = now
