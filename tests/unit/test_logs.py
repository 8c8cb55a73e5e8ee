"""The logs of all jobs: append, marks, followers, open files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrance_server.logs import LogSlice, LogStore, LogUnavailable
from tests.unit.specs import largest_file


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    async with LogStore(tmp_path) as opened:
        yield opened


async def everything(logs: LogStore, task_id: int) -> bytes:
    return (await logs.read(task_id, 1, max_lines=2**62, max_bytes=2**30)).text


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_lines_are_numbered_from_one(logs: LogStore) -> None:
    await logs.append(1, b"a\n", 1)
    await logs.append(1, b"b\nc\n", 2)
    assert await logs.next_line(1) == 4
    assert await logs.read(1, 2, max_lines=9, max_bytes=99) == LogSlice(2, 2, b"b\nc\n")


class TestFirstLines:
    @pytest.fixture
    async def logs(self, tmp_path: Path) -> AsyncIterator[LogStore]:
        async with LogStore(tmp_path, head=lambda _: lambda: (b"x\ny\n", 2)) as opened:
            yield opened

    async def test_are_there_for_whoever_reads_first(self, logs: LogStore) -> None:
        assert await everything(logs, 1) == b"x\ny\n"

    async def test_are_counted_before_anybody_reads(self, logs: LogStore) -> None:
        assert await logs.next_line(1) == 3

    async def test_come_before_what_is_first_written(self, logs: LogStore) -> None:
        await logs.append(1, b"a\n", 1, attempt=1, seq=1)
        await logs.append(1, b"b\n", 1, attempt=1, seq=2)
        assert await everything(logs, 1) == b"x\ny\na\nb\n"
        assert await logs.mark(1) == (1, 2)

    async def test_are_written_once(self, logs: LogStore, tmp_path: Path) -> None:
        for _ in range(2):
            await logs.begin(1)
        await logs.close(1)
        async with LogStore(tmp_path, head=lambda _: lambda: (b"other\n", 1)) as reopened:
            assert await everything(reopened, 1) == b"x\ny\n"

    async def test_stay_when_nothing_tells_them_any_more(
        self, logs: LogStore, tmp_path: Path
    ) -> None:
        await logs.begin(1)
        await logs.close(1)
        async with LogStore(tmp_path) as reopened:
            assert await everything(reopened, 1) == b"x\ny\n"

    async def test_are_written_where_a_crash_left_empty_files(
        self, logs: LogStore, tmp_path: Path
    ) -> None:
        await logs.begin(1)
        await logs.close(1)
        for file in (tmp_path / "0" / "1").iterdir():
            file.write_bytes(b"")
        assert await everything(logs, 1) == b"x\ny\n"


async def test_a_start_before_the_first_line_is_the_first_line(logs: LogStore) -> None:
    await logs.append(1, b"a\n", 1)
    for start in (0, -5):
        assert await logs.read(1, start, max_lines=1, max_bytes=99) == LogSlice(1, 1, b"a\n")


async def test_a_start_past_the_end_gives_no_line(logs: LogStore) -> None:
    await logs.append(1, b"a\n", 1)
    assert await logs.read(1, 2, max_lines=1, max_bytes=99) == LogSlice(2, 0, b"")
    assert await logs.read(1, 2**62, max_lines=1, max_bytes=99) == LogSlice(2**62, 0, b"")


@pytest.mark.parametrize(
    ("max_bytes", "end"),
    [
        (0, LogSlice(5, 0, b"")),
        (2, LogSlice(5, 0, b"")),
        (3, LogSlice(4, 1, b"dd\n")),
        (4, LogSlice(3, 2, b"\ndd\n")),
        (7, LogSlice(3, 2, b"\ndd\n")),
        (8, LogSlice(2, 3, b"bbb\n\ndd\n")),
        (9, LogSlice(2, 3, b"bbb\n\ndd\n")),
        (10, LogSlice(1, 4, b"a\nbbb\n\ndd\n")),
        (99, LogSlice(1, 4, b"a\nbbb\n\ndd\n")),
    ],
)
async def test_the_end_of_a_log_is_of_whole_lines(
    logs: LogStore, max_bytes: int, end: LogSlice
) -> None:
    await logs.append(1, b"a\nbbb\n", 2)
    await logs.append(1, b"\ndd\n", 2)
    assert await logs.read_end(1, max_bytes=max_bytes) == end


async def test_the_end_of_a_log_that_is_not_there_is_empty(logs: LogStore) -> None:
    assert await logs.read_end(1, max_bytes=99) == LogSlice(1, 0, b"")


async def test_a_job_without_a_log_has_an_empty_one(logs: LogStore) -> None:
    assert await logs.next_line(1) == 1
    assert await logs.mark(1) == (0, 0)
    assert await everything(logs, 1) == b""
    await logs.remove(1)
    await logs.close(1)


async def test_a_line_keeps_its_number_after_a_restart(tmp_path: Path) -> None:
    async with LogStore(tmp_path) as first:
        await first.append(1, b"a\nb\n", 2, attempt=1, seq=5)
    async with LogStore(tmp_path) as second:
        assert await second.next_line(1) == 3
        assert await second.mark(1) == (1, 5)
        await second.append(1, b"c\n", 1)
        assert (await second.read(1, 2, max_lines=9, max_bytes=99)).text == b"b\nc\n"


async def test_what_was_appended_is_there_after_a_crash(tmp_path: Path) -> None:
    async with LogStore(tmp_path) as crashed, LogStore(tmp_path) as next_one:
        await crashed.append(1, b"a\n", 1, attempt=1, seq=1)
        # nothing was closed or synced
        assert await everything(next_one, 1) == b"a\n"
        assert await next_one.mark(1) == (1, 1)


async def test_a_replay_is_dropped(logs: LogStore) -> None:
    await logs.append(1, b"a\n", 1, attempt=1, seq=7)
    await logs.append(1, b"a\n", 1, attempt=1, seq=7)
    await logs.append(1, b"older\n", 1, attempt=1, seq=3)
    assert await everything(logs, 1) == b"a\n"
    assert await logs.mark(1) == (1, 7)


async def test_the_numbers_of_another_try_begin_anew(logs: LogStore) -> None:
    await logs.append(1, b"a\n", 1, attempt=1, seq=7)
    await logs.append(1, b"b\n", 1, attempt=2, seq=1)
    await logs.append(1, b"late\n", 1, attempt=1, seq=8)
    assert await everything(logs, 1) == b"a\nb\n"
    assert await logs.mark(1) == (2, 1)


async def test_lines_of_the_service_keep_the_mark(logs: LogStore) -> None:
    await logs.append(1, b"a\n", 1, attempt=1, seq=2**63)
    await logs.append(1, b"own\n", 1)
    await logs.append(1, b"own\n", 1)
    assert await everything(logs, 1) == b"a\nown\nown\n"
    assert await logs.mark(1) == (1, 2**63)


async def test_a_mark_moves_without_text(logs: LogStore) -> None:
    await logs.append(1, b"", 0, attempt=1, seq=4)
    assert await logs.mark(1) == (1, 4)
    assert await logs.next_line(1) == 1


@pytest.mark.parametrize(("text", "count"), [(b"a", 0), (b"a\nb", 1), (b"a\n", 2), (b"", 1)])
async def test_what_is_not_that_many_whole_lines_is_refused(
    logs: LogStore, text: bytes, count: int
) -> None:
    with pytest.raises(ValueError, match="whole lines"):
        await logs.append(1, text, count)
    assert await logs.next_line(1) == 1


async def test_appends_to_one_log_keep_their_order(logs: LogStore) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(logs.append(1, b"%d\n" % number, 1))
    assert await everything(logs, 1) == b"".join(b"%d\n" % number for number in range(200))


async def test_a_cancelled_append_is_whole_or_not_there(logs: LogStore) -> None:
    for number in range(50):
        append = asyncio.create_task(logs.append(1, b"%d\n" % number, 1, attempt=1, seq=number + 1))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        append.cancel()
        await asyncio.wait([append])
        _, seq = await logs.mark(1)
        await logs.append(1, b"%d\n" % number, 1, attempt=1, seq=number + 1)
        assert seq in (number, number + 1)
    assert await everything(logs, 1) == b"".join(b"%d\n" % number for number in range(50))


async def test_only_logs_that_are_written_are_open_and_not_too_many(tmp_path: Path) -> None:
    async with LogStore(tmp_path, workers=2, max_open=4) as logs:
        await logs.append(0, b"a\n", 1)
        await logs.close(0)
        before = open_files()
        async with asyncio.TaskGroup() as group:
            for task_id in range(1, 101):
                group.create_task(logs.append(task_id, b"a\n", 1))
        assert open_files() <= before + 2 * 4
        await logs.append(1, b"b\n", 1)
        assert await everything(logs, 1) == b"a\nb\n"
    assert open_files() <= before


async def test_reading_leaves_no_file_open(logs: LogStore) -> None:
    await logs.append(1, b"a\n", 1)
    await logs.close(1)
    before = open_files()
    for _ in range(10):
        await everything(logs, 1)
    assert open_files() == before


async def test_a_full_disk_is_told_and_the_log_goes_on(logs: LogStore) -> None:
    await logs.append(1, b"a\n", 1, attempt=1, seq=1)
    with largest_file(1000), pytest.raises(LogUnavailable, match="too large"):
        await logs.append(1, b"x" * 5000 + b"\n", 1, attempt=1, seq=2)
    assert await logs.mark(1) == (1, 1)
    await logs.append(1, b"b\n", 1, attempt=1, seq=2)
    assert await everything(logs, 1) == b"a\nb\n"


async def test_a_place_that_is_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with LogStore(tmp_path / "file") as logs:
        with pytest.raises(LogUnavailable):
            await logs.append(1, b"a\n", 1)


async def test_a_removed_log_is_empty_and_begins_anew(logs: LogStore, tmp_path: Path) -> None:
    await logs.append(1234, b"a\n", 1, attempt=1, seq=1)
    await logs.remove(1234)
    assert await logs.next_line(1234) == 1
    assert not (tmp_path / "1" / "1234").exists()
    await logs.append(1234, b"b\n", 1)
    assert await everything(logs, 1234) == b"b\n"


async def test_removing_a_log_leaves_what_is_beside_it(logs: LogStore, tmp_path: Path) -> None:
    await logs.append(1234, b"a\n", 1)
    (tmp_path / "1" / "1234" / "results").mkdir()
    await logs.remove(1234)
    assert [file.name for file in (tmp_path / "1" / "1234").iterdir()] == ["results"]


async def test_a_follower_gets_every_line_once(logs: LogStore) -> None:
    seen = b""

    async def follow() -> None:
        nonlocal seen
        line = 1
        with logs.follow(1) as follower:
            while line <= 300:
                part = await logs.read(1, line, max_lines=7, max_bytes=50)
                seen += part.text
                line += part.line_count
                if not part.line_count:
                    await follower.wait(line)

    async with asyncio.TaskGroup() as group:
        group.create_task(follow())
        for number in range(100):
            await logs.append(1, b"%d\n\n\n" % number, 3)
    assert seen == await everything(logs, 1)


async def test_followers_that_keep_up_and_that_do_not_get_every_line_once(logs: LogStore) -> None:
    async def follow(pause: int) -> bytes:
        seen, line = b"", 1
        with logs.follow(1) as follower:
            while line <= 300:
                part = follower.appended(line) or await logs.read_on(1, line, max_bytes=50)
                seen += part.text
                line += part.line_count
                if not part.line_count:
                    await follower.wait(line)
                for _ in range(pause):
                    await asyncio.sleep(0)
        return seen

    async with asyncio.TaskGroup() as group:
        following = [group.create_task(follow(pause)) for pause in (0, 1, 5, 200)]
        for number in range(100):
            appending = asyncio.create_task(logs.append(1, b"%d\n\n\n" % number, 3))
            if number % 7 == 0:
                await asyncio.sleep(0)
                appending.cancel()  # it may be in the log all the same, or not
                await asyncio.wait([appending])
                if await logs.next_line(1) > 3 * number + 1:
                    continue
                appending = asyncio.create_task(logs.append(1, b"%d\n\n\n" % number, 3))
            await appending
    whole = await everything(logs, 1)
    assert [one.result() == whole for one in following] == [True] * 4


async def test_a_follower_is_not_given_lines_of_a_log_that_was_removed(logs: LogStore) -> None:
    with logs.follow(1) as follower:
        await logs.append(1, b"old\n", 1)
        assert follower.appended(1) is not None
        await logs.remove(1)
        assert follower.appended(1) is None


async def test_a_wait_for_a_line_that_is_there_returns_at_once(logs: LogStore) -> None:
    await logs.append(1, b"a\n", 1)
    await logs.close(1)
    with logs.follow(1) as follower:
        await follower.wait(1)


async def test_a_wait_goes_on_until_its_own_line_comes(logs: LogStore) -> None:
    with logs.follow(1) as follower:
        waiter = asyncio.create_task(follower.wait(3))
        await logs.append(2, b"of another job\n", 1)
        await logs.append(1, b"a\nb\n", 2)
        await logs.next_line(1)
        assert not waiter.done()
        await logs.append(1, b"c\n", 1)
        await waiter


async def test_a_call_ends_a_wait_for_a_line_that_will_not_come(logs: LogStore) -> None:
    with logs.follow(1) as follower, logs.follow(1) as other:
        waiters = [asyncio.create_task(one.wait(9)) for one in (follower, other)]
        await logs.append(1, b"a\n", 1)
        logs.wake(1)
        await asyncio.gather(*waiters)
        logs.wake(1)  # between two waits: the next one must not miss it
        await follower.wait(9)
        again = asyncio.create_task(follower.wait(9))
        await logs.append(1, b"b\n", 1)
        assert not again.done()
        again.cancel()


async def test_a_call_when_nobody_follows_is_no_error(logs: LogStore) -> None:
    logs.wake(1)


async def test_only_a_log_that_is_done_with_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, fsync = list[int](), os.fsync

    def noted(file: int) -> None:
        synced.append(file)
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    async with LogStore(tmp_path, max_open=1) as logs:
        for task_id in (1, 2, 3):
            await logs.append(task_id, b"line\n", 1)
        assert synced == []
        for task_id in (1, 3):  # the first was put aside for want of room, the last was not
            await logs.close(task_id)
            assert len(synced) == 2
            synced.clear()
        await logs.close(1)
        assert synced == []
