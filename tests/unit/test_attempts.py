"""How many wrong logins are taken."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain.errors import TooManyAttempts, Unauthenticated
from entrance_server.service.attempts import AttemptLimits, Attempts

LIMITS = AttemptLimits(per_name=3, per_address=5, window=60)


class Clock:
    """A clock that a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> Attempts:
    return Attempts(LIMITS, clock=clock)


def wrong(attempts: Attempts, name: str = "alice", address: str = "192.0.2.1") -> None:
    with suppress(Unauthenticated), attempts.attempt(name, address):
        raise Unauthenticated("wrong")


def right(attempts: Attempts, name: str = "alice", address: str = "192.0.2.1") -> None:
    with attempts.attempt(name, address):
        pass


def test_a_name_has_so_many_wrong_attempts_from_wherever(attempts: Attempts, clock: Clock) -> None:
    for n in range(3):
        wrong(attempts, address=f"192.0.2.{n}")
    clock.now += 20
    with pytest.raises(TooManyAttempts, match="user name; try again in 40 seconds") as refused:
        right(attempts, address="198.51.100.1")
    assert refused.value.retry_after == 40
    right(attempts, name="bob")


def test_an_address_has_so_many_wrong_attempts_with_whatever_name(attempts: Attempts) -> None:
    for n in range(5):
        wrong(attempts, name=f"user{n}")
    with pytest.raises(TooManyAttempts, match="address; try again in 60 seconds"):
        right(attempts)
    right(attempts, address="198.51.100.1")


def test_each_attempt_counts_for_its_own_time(attempts: Attempts, clock: Clock) -> None:
    for _ in range(3):
        wrong(attempts)
        clock.now += 20
    right(attempts)  # the first is a minute old
    wrong(attempts)
    with pytest.raises(TooManyAttempts, match="in 20 seconds"):
        right(attempts)


def test_right_ones_do_not_count(attempts: Attempts) -> None:
    for _ in range(20):
        right(attempts)
    for _ in range(2):
        wrong(attempts)
    right(attempts)


def test_a_failure_of_the_service_does_not_count(attempts: Attempts) -> None:
    for _ in range(20):
        with suppress(OSError), attempts.attempt("alice", "192.0.2.1"):
            raise OSError
    right(attempts)


def test_an_attempt_counts_while_it_goes_on(attempts: Attempts) -> None:
    held = [attempts.attempt("alice", "192.0.2.1") for _ in range(3)]
    for one in held:
        one.__enter__()
    with pytest.raises(TooManyAttempts):
        right(attempts)
    for one in held:
        one.__exit__(None, None, None)
    right(attempts)


def test_one_that_its_caller_gave_up_counts(attempts: Attempts) -> None:
    for _ in range(3):
        with suppress(asyncio.CancelledError), attempts.attempt("alice", "192.0.2.1"):
            raise asyncio.CancelledError
    with pytest.raises(TooManyAttempts):
        right(attempts)


def test_a_refused_attempt_does_not_make_the_wait_longer(attempts: Attempts, clock: Clock) -> None:
    for _ in range(3):
        wrong(attempts)
    for _ in range(10):
        with pytest.raises(TooManyAttempts):
            wrong(attempts)
    clock.now += 60
    right(attempts)


@given(st.lists(st.tuples(st.text(), st.text())))
def test_any_name_and_address_can_be_counted(tried: list[tuple[str, str]]) -> None:
    attempts = Attempts(LIMITS)
    for name, address in tried:
        with suppress(TooManyAttempts):
            wrong(attempts, name, address)
            right(attempts, name, address)


def test_the_memory_of_attempts_is_bounded() -> None:
    attempts = Attempts(AttemptLimits(per_name=1, per_address=10, window=60))
    for n in range(20_000):
        wrong(attempts, name=f"{n:05}" * 1000, address=f"{n}")
    kept = [len(windows._times) for windows in attempts._windows]
    assert kept == [10_000, 10_000]
    with pytest.raises(TooManyAttempts):
        right(attempts, name="19999" * 1000)
