"""How often somebody may try to log in: wrong attempts within a time are limited."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from entrance_server.domain import errors

_MOST_KEYS = 10_000  # names, and addresses, whose attempts are remembered
_KEY_LENGTH = 64  # characters; longer ones with one beginning count as one


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How many wrong attempts are taken within a window of seconds."""

    per_name: int = 10
    per_address: int = 100
    window: float = 300.0


class Attempts:
    """Counts wrong attempts by user name and by address, whether or not there is such a user."""

    def __init__(
        self, limits: AttemptLimits, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._windows = (
            _Windows("user name", limits.per_name, limits.window),
            _Windows("address", limits.per_address, limits.window),
        )

    @contextmanager
    def attempt(self, name: str, address: str) -> Iterator[None]:
        """Counts the block as a wrong attempt unless it ends well, or fails for another reason.

        It counts from the start, so that attempts at once do not outrun the limit.

        Raises:
            TooManyAttempts: there were too many wrong ones before.
        """
        now = self._clock()
        keyed = list(zip(self._windows, (name, address), strict=True))
        for windows, key in keyed:
            windows.check(key, now)
        for windows, key in keyed:
            windows.add(key, now)
        try:
            yield
        except Exception as error:
            if not isinstance(error, errors.Unauthenticated):
                self._take_back(keyed, now)
            raise
        self._take_back(keyed, now)

    def _take_back(self, keyed: list[tuple[_Windows, str]], time: float) -> None:
        for windows, key in keyed:
            windows.remove(key, time)


class _Windows:
    """The times of attempts by key, of each key at most as many as are allowed."""

    def __init__(self, what: str, most: int, seconds: float) -> None:
        self._what = what
        self._most = most
        self._seconds = seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, key: str, now: float) -> None:
        times = self._times.get(key[:_KEY_LENGTH])
        if times is not None and len(times) == self._most and now < times[0] + self._seconds:
            wait = times[0] + self._seconds - now
            raise errors.TooManyAttempts(
                f"There were too many wrong logins by this {self._what}; try again in "
                f"{math.ceil(wait)} seconds.",
                retry_after=wait,
            )

    def add(self, key: str, now: float) -> None:
        times = self._times.setdefault(key[:_KEY_LENGTH], deque(maxlen=self._most))
        times.append(now)
        self._times.move_to_end(key[:_KEY_LENGTH])
        if len(self._times) > _MOST_KEYS:
            self._times.popitem(last=False)

    def remove(self, key: str, time: float) -> None:
        times = self._times.get(key[:_KEY_LENGTH])
        if times is None or time not in times:
            return
        times.remove(time)
        if not times:
            del self._times[key[:_KEY_LENGTH]]
