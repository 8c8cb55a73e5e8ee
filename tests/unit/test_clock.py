"""The service's time: a system's clock that leaps does not carry it along."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from entrance_server.clock import Clocks, Mark, SteadyClock, kept_clock

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


class Hands:
    """The clocks of a machine that a test moves, in nanoseconds."""

    def __init__(self, *, boot_id: str = "boot") -> None:
        self._boot_id = boot_id
        self._passed = 0
        self._system = int(START.timestamp()) * 10**9

    @property
    def clocks(self) -> Clocks:
        return Clocks(self._boot_id, lambda: self._passed, lambda: self._system)

    def pass_by(self, length: timedelta) -> None:
        """Lets time pass, for both clocks."""
        self._passed += nanoseconds(length)
        self._system += nanoseconds(length)

    def leap(self, length: timedelta) -> None:
        """Sets the system's clock."""
        self._system += nanoseconds(length)

    def boot(self, *, after: timedelta) -> None:
        """Starts the machine again, after it was off for some time."""
        self._boot_id += "'"
        self._passed = 0
        self._system += nanoseconds(after)


def nanoseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1) * 1000


def test_a_clock_that_nobody_sets_is_the_systems() -> None:
    hands = Hands()
    clock = SteadyClock(hands.clocks)
    assert clock() == START
    hands.pass_by(90 * SECOND)
    assert clock() == START + 90 * SECOND
    assert clock.difference() == timedelta()


def test_a_leap_forward_is_followed_by_one_part_in_a_hundred_of_what_passes() -> None:
    hands = Hands()
    clock = SteadyClock(hands.clocks)
    hands.leap(365 * DAY)
    assert clock() == START
    hands.pass_by(100 * SECOND)
    assert clock() == START + 101 * SECOND
    assert clock.difference() == 365 * DAY - SECOND


def test_a_leap_back_never_takes_the_time_back() -> None:
    hands = Hands()
    clock = SteadyClock(hands.clocks)
    hands.leap(-DAY)
    assert clock() == START
    hands.pass_by(100 * SECOND)
    assert clock() == START + 99 * SECOND


def test_a_leap_that_is_taken_back_is_forgotten() -> None:
    hands = Hands()
    clock = SteadyClock(hands.clocks)
    hands.leap(HOUR)
    hands.pass_by(100 * SECOND)
    clock()
    hands.leap(-HOUR)
    hands.pass_by(200 * SECOND)
    assert clock() == START + 300 * SECOND


def test_a_small_step_is_followed_to_its_end() -> None:
    hands = Hands()
    clock = SteadyClock(hands.clocks)
    hands.leap(SECOND)
    for _ in range(1000):  # however often it is asked meanwhile
        hands.pass_by(SECOND / 8)
        clock()
    assert clock.difference() == timedelta()


def test_a_restart_of_the_service_goes_on_whatever_the_systems_clock_says() -> None:
    hands = Hands()
    mark = SteadyClock(hands.clocks).mark()
    hands.pass_by(30 * SECOND)
    for leap in (-2 * DAY, 400 * DAY):
        hands.leap(leap)
        clock = SteadyClock(hands.clocks, mark)
        assert clock() == START + 30 * SECOND
        assert clock.trusted_from <= clock()


def test_a_restart_of_the_machine_takes_the_systems_clock() -> None:
    hands = Hands()
    mark = SteadyClock(hands.clocks).mark()
    hands.boot(after=5 * HOUR)
    clock = SteadyClock(hands.clocks, mark)
    assert clock() == START + 5 * HOUR
    assert clock.trusted_from <= clock()


def test_a_restart_of_the_machine_with_a_clock_that_lags_does_not_take_the_time_back() -> None:
    hands = Hands()
    mark = SteadyClock(hands.clocks).mark()
    hands.boot(after=-5 * HOUR)
    assert SteadyClock(hands.clocks, mark)() == START


def test_after_an_absence_of_more_than_a_day_ages_are_trusted_a_day_later() -> None:
    hands = Hands()
    mark = SteadyClock(hands.clocks).mark()
    hands.boot(after=365 * DAY)
    clock = SteadyClock(hands.clocks, mark)
    assert clock.trusted_from == START + 366 * DAY
    again = SteadyClock(hands.clocks, clock.mark())  # a restart does not shorten that
    assert again.trusted_from == START + 366 * DAY


def test_a_machine_that_does_not_name_its_starts_has_its_clock_taken_at_each() -> None:
    hands = Hands(boot_id="")
    mark = SteadyClock(hands.clocks).mark()
    hands.leap(HOUR)
    assert SteadyClock(hands.clocks, mark)() == START + HOUR


async def test_the_time_is_kept_from_start_to_start(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    async with kept_clock(path, boot_id="boot") as clock:
        first = clock()
    kept = Mark(**json.loads(path.read_bytes()))
    path.write_text(
        json.dumps(dataclasses.asdict(dataclasses.replace(kept, time=kept.time + 10**15)))
    )
    async with kept_clock(path, boot_id="boot") as clock:
        assert clock() > first + timedelta(days=11)


async def test_a_file_that_says_nothing_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    for content in ("", "{}", "[]", '{"time": 1}', "\0"):
        path.write_text(content)
        async with kept_clock(path, boot_id="boot") as clock:
            assert abs(clock.difference()) < SECOND
