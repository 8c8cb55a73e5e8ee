"""Whether and when a failed call is tried again, with a clock that the test moves."""

from __future__ import annotations

import pytest

from entrance.client import NotFound, Retries, Unavailable
from entrance.client.retries import Attempts

AWAY = Unavailable("away")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def attempts(
    clock: Clock, *, most: int = 3, deadline: float | None = None, share: float = 1.0
) -> Attempts:
    return Attempts(
        Retries(first_delay=1.0, longest_delay=5.0),
        most=most,
        deadline=deadline,
        clock=clock,
        share=lambda: share,
    )


def test_the_wait_doubles_up_to_the_longest() -> None:
    tries = attempts(Clock(), most=5)

    assert [tries.after(AWAY) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_callers_are_spread_over_half_of_the_wait() -> None:
    assert attempts(Clock(), share=0.0).after(AWAY) == 0.5


def test_enough_tries_are_enough() -> None:
    tries = attempts(Clock(), most=2)
    tries.after(AWAY)
    tries.after(AWAY)

    with pytest.raises(Unavailable):
        tries.after(AWAY)


def test_what_a_second_try_cannot_help_is_raised_at_once() -> None:
    with pytest.raises(NotFound):
        attempts(Clock()).after(NotFound("no such job"))


def test_no_try_begins_after_the_deadline() -> None:
    clock = Clock()
    tries = attempts(clock, deadline=2.5)
    assert tries.after(AWAY) == 1.0
    clock.now = 1.0

    with pytest.raises(Unavailable):
        tries.after(AWAY)


def test_each_try_has_the_time_that_is_left() -> None:
    clock = Clock()
    tries = attempts(clock, deadline=10.0)
    clock.now = 4.0
    assert tries.time_left() == 6.0
    clock.now = 11.0
    assert tries.time_left() == 0.0
    assert attempts(clock).time_left() is None


def test_progress_starts_the_count_anew() -> None:
    tries = attempts(Clock(), most=2)
    for _ in range(10):
        tries.after(AWAY)
        tries.after(AWAY)
        tries.progressed()


def test_failures_far_apart_are_not_in_a_row() -> None:
    clock = Clock()
    tries = attempts(clock, most=1)
    for _ in range(10):
        clock.now += 51.0
        assert tries.after(AWAY) == 1.0
