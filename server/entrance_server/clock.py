"""The service's time: the system's clock without its leaps, so that limits and ages stay true."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)

FOLLOWS = (
    100  # one part in so many of the time that passes goes into following a clock that was set
)
KEEP_INTERVAL = 60.0  # seconds between notes of the time
LONG_AWAY = timedelta(days=1)  # beyond it, a clock that was set wrongly is as likely as an absence
WORTH_TELLING = timedelta(seconds=10)  # of difference from the system's clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of a machine, in nanoseconds.

    `passed` counts from the machine's start, which `boot_id` names, and nobody sets it; "" is a
    machine that tells no such name. `system` counts from the epoch, and somebody may set it.
    """

    boot_id: str
    passed: Callable[[], int]
    system: Callable[[], int] = time.time_ns


@dataclass(frozen=True, slots=True)
class Mark:
    """The service's time at a moment, as it is kept for the next start; in nanoseconds."""

    boot_id: str
    passed: int
    time: int
    trusted_from: int
    """Until then it may be wrong by a leap while the service was away."""


class SteadyClock:
    """Tells the time in UTC; called like a function, by any thread.

    It never goes back. A system's clock that is set is followed by one part in a hundred of the
    time that passes, so that all lengths of time stay true to one part in a hundred.
    """

    def __init__(self, clocks: Clocks, mark: Mark | None = None) -> None:
        self._clocks = clocks
        self._lock = threading.Lock()
        self._passed = clocks.passed()
        self._time = clocks.system()
        self._trusted_from = self._time
        if mark is not None:
            self._go_on(mark)

    def _go_on(self, mark: Mark) -> None:
        passed = self._passed - mark.passed
        if mark.boot_id and mark.boot_id == self._clocks.boot_id and passed >= 0:
            self._time, self._trusted_from = mark.time + passed, mark.trusted_from
            return
        away = self._time - mark.time
        self._time = max(self._time, mark.time)
        if away > _nanoseconds(LONG_AWAY):
            self._trusted_from = self._time + _nanoseconds(LONG_AWAY)

    def __call__(self) -> datetime:
        """The time now."""
        return _moment(self._advance()[1])

    def difference(self) -> timedelta:
        """By how much the system's clock is ahead."""
        return _moment(self._clocks.system()) - self()

    @property
    def trusted_from(self) -> datetime:
        """When what goes by ages may begin.

        A day after a start at which the system's clock was more than a day ahead of when the
        service ran last: so long there is time to set a wrong one right.
        """
        return _moment(self._trusted_from)

    def mark(self) -> Mark:
        """What the next start needs."""
        return Mark(self._clocks.boot_id, *self._advance(), self._trusted_from)

    def _advance(self) -> tuple[int, int]:
        with self._lock:
            passed = self._clocks.passed()
            span = passed - self._passed
            ahead = self._clocks.system() - self._time - span
            most = span // FOLLOWS
            self._passed = passed
            self._time += span + max(-most, min(ahead, most))
            return passed, self._time


@asynccontextmanager
async def kept_clock(path: Path, *, boot_id: str) -> AsyncIterator[SteadyClock]:
    """A clock that goes on from start to start by a file, within the context.

    Args:
        path: The file.
        boot_id: Names this start of the machine; "" where nothing does.
    """
    passed = _since_boot if boot_id else time.monotonic_ns
    clock = SteadyClock(Clocks(boot_id, passed), await asyncio.to_thread(_read, path))
    if clock.trusted_from > clock():
        log.warning("the clock went far ahead while the service was away", until=clock.trusted_from)
    keeping = asyncio.create_task(_keep(clock, path))
    try:
        yield clock
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        await asyncio.to_thread(_write, path, clock.mark())


async def _keep(clock: SteadyClock, path: Path) -> None:
    told = False
    while True:
        await asyncio.to_thread(_write, path, clock.mark())
        difference = clock.difference()
        differs = abs(difference) > WORTH_TELLING
        if differs != told:
            log.warning("the system's clock was set", ahead_seconds=difference.total_seconds())
            told = differs
        await asyncio.sleep(KEEP_INTERVAL)


def _read(path: Path) -> Mark | None:
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
        return Mark(**fields)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        log.warning("the time of the last run is not known", path=str(path), error=str(error))
        return None


def _write(path: Path, mark: Mark) -> None:
    """Keeps the mark, if the disk takes it; an older one does as well."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(json.dumps(dataclasses.asdict(mark)))
        temporary.replace(path)
    except OSError as error:
        log.warning("time not kept", error=str(error))
        with contextlib.suppress(OSError):
            temporary.unlink()


def _since_boot() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _moment(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _nanoseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1) * 1000
