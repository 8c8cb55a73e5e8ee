"""The last appends of a log, and what those who follow it get of them."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from entrance_server.logs.files import LogSlice
from entrance_server.logs.followers import MAX_UNTOLD, PACE, Followers
from entrance_server.logs.tail import MAX_APPENDS, MAX_BYTES, Tail

HOUR = 3600.0
APPENDS = st.lists(
    st.lists(st.binary(max_size=5), min_size=1, max_size=4), max_size=2 * MAX_APPENDS
)


def slices(appends: list[list[bytes]]) -> list[LogSlice]:
    """Successive appends to a log, from its first line on."""
    parts = list[LogSlice]()
    line = 1
    for lines in appends:
        texts = [text.replace(b"\n", b".") + b"\n" for text in lines]
        parts.append(LogSlice(line, len(texts), b"".join(texts)))
        line += len(texts)
    return parts


def tail_of(*parts: LogSlice) -> Tail:
    tail = Tail()
    for part in parts:
        tail.add(part)
    return tail


def followers_of_two_lines(*, pace: float = PACE) -> Followers:
    """Who follows a log that has two lines in its files, whether or not they were told."""

    async def next_line(_: int) -> int:
        return 3

    return Followers(next_line, pace=pace)


@given(APPENDS)
def test_who_has_all_before_one_of_the_last_appends_gets_all_from_there_on(
    appends: list[list[bytes]],
) -> None:
    parts = slices(appends)
    tail = tail_of(*parts)
    for index, part in enumerate(parts):
        rest = parts[index:]
        text = b"".join(one.text for one in rest)
        whole = LogSlice(part.from_line, sum(one.line_count for one in rest), text)
        assert tail.since(part.from_line) == (whole if len(rest) <= MAX_APPENDS else None)


def test_who_is_in_the_middle_of_an_append_must_read() -> None:
    assert tail_of(LogSlice(1, 2, b"a\nb\n"), LogSlice(3, 1, b"c\n")).since(2) is None


def test_who_has_all_gets_nothing() -> None:
    tail = tail_of(LogSlice(1, 2, b"a\nb\n"))
    assert tail.since(3) == LogSlice(3, 0, b"")
    assert tail.next_line == 3


def test_a_tail_without_an_append_tells_nothing() -> None:
    tail = tail_of(LogSlice(1, 1, b"a\n"))
    tail.clear()
    assert tail.since(1) is None
    assert tail.next_line is None


def test_appends_before_one_that_is_not_known_are_not_told() -> None:
    tail = tail_of(LogSlice(1, 1, b"a\n"), LogSlice(3, 1, b"c\n"))
    assert tail.since(1) is None
    assert tail.since(3) == LogSlice(3, 1, b"c\n")


@given(st.lists(st.integers(1, MAX_BYTES + 2), min_size=1, max_size=5))
def test_a_tail_is_bounded_and_has_the_last_append_at_least(sizes: list[int]) -> None:
    parts = [LogSlice(line, 1, b"x" * (size - 1) + b"\n") for line, size in enumerate(sizes, 1)]
    tail = tail_of(*parts)
    kept = [part for line in range(1, len(parts) + 1) if (part := tail.since(line)) is not None]
    assert kept[-1] == parts[-1]
    assert len(kept) == 1 or len(kept[0].text) <= MAX_BYTES


async def test_a_line_that_is_written_is_waited_for_until_it_is_told() -> None:
    """Or a follower that is given what was told would look for it without end."""
    followers = followers_of_two_lines()
    with followers.follow(1) as follower:
        followers.lines_came(1, LogSlice(1, 1, b"a\n"))
        waiting = asyncio.create_task(follower.wait(2))
        await asyncio.sleep(0)
        assert follower.appended(2) == LogSlice(2, 0, b"")
        assert not waiting.done()
        followers.lines_came(1, LogSlice(2, 1, b"b\n"))
        await waiting
        assert follower.appended(2) == LogSlice(2, 1, b"b\n")


async def test_lines_that_came_untold_are_read() -> None:
    followers = followers_of_two_lines()
    with followers.follow(1) as follower:
        followers.lines_came(1, LogSlice(1, 1, b"a\n"))
        waiting = asyncio.create_task(follower.wait(2))
        await asyncio.sleep(0)
        followers.lines_came(1, None)
        await waiting
        assert follower.appended(2) is None


async def test_lines_that_come_between_two_wakes_are_told_with_the_next() -> None:
    followers = followers_of_two_lines(pace=HOUR)
    with followers.follow(1) as follower:
        followers.lines_came(1, LogSlice(1, 1, b"a\n"))
        assert follower.appended(1) == LogSlice(1, 1, b"a\n")
        followers.lines_came(1, LogSlice(2, 1, b"b\n"))
        followers.lines_came(1, LogSlice(3, 1, b"c\n"))
        assert follower.appended(2) == LogSlice(2, 0, b"")
        followers.call(1)  # as at the job's end
        assert follower.appended(2) == LogSlice(2, 2, b"b\nc\n")


async def test_lines_that_come_between_two_wakes_do_not_wait_for_further_ones() -> None:
    followers = followers_of_two_lines(pace=0.001)
    with followers.follow(1) as follower:
        for line in (1, 2, 3):
            followers.lines_came(1, LogSlice(line, 1, b"x\n"))
        await follower.wait(3)
        assert follower.appended(3) == LogSlice(3, 1, b"x\n")


async def test_the_lines_that_wait_for_a_wake_are_bounded() -> None:
    followers = followers_of_two_lines(pace=HOUR)
    long = b"x" * MAX_UNTOLD + b"\n"
    with followers.follow(1) as follower:
        followers.lines_came(1, LogSlice(1, 1, b"a\n"))
        followers.lines_came(1, LogSlice(2, 1, long))
        assert follower.appended(2) == LogSlice(2, 1, long)


async def test_lines_of_a_removed_log_are_not_told_later() -> None:
    followers = followers_of_two_lines(pace=HOUR)
    with followers.follow(1) as follower:
        followers.lines_came(1, LogSlice(1, 1, b"a\n"))
        followers.lines_came(1, LogSlice(2, 1, b"b\n"))
        followers.forget(1)
        followers.call(1)
        assert follower.appended(2) is None
