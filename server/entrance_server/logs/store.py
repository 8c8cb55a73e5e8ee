"""The logs of all jobs: append, read from a line on, follow."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, Self, TypeAlias, TypeVar

from entrance_server import threads
from entrance_server.domain import ids
from entrance_server.job_files import Elsewhere
from entrance_server.logs import files
from entrance_server.logs.files import LogSlice, LogWriter
from entrance_server.logs.followers import Follower, Followers
from entrance_server.logs.journal import EMPTY, Record
from entrance_server.tenure import Tenure

P = ParamSpec("P")
T = TypeVar("T")

Head: TypeAlias = Callable[[], tuple[bytes, int]]
"""Makes whole lines of UTF-8, and tells how many."""


class LogUnavailable(Exception):
    """A log can't be written or read now, for want of space for instance; nothing was changed."""


@dataclass(slots=True)
class _Slot:
    """A log that is being written. Whoever holds the lock may use the writer."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    writer: LogWriter | None = None


@dataclass(frozen=True, slots=True)
class _Lines:
    """What to append, and the mark that is durable with it."""

    text: bytes
    count: int
    mark: tuple[int, int] | None = None


_NOTHING = _Lines(b"", 0)


class LogStore:
    """Append-only logs of jobs in files below a directory, which this object alone writes.

    An append is in the files when `append` returns, and survives the end of this process. `close`
    makes a log safe against a power cut too.

    A log for which `head` has lines begins with them: they are written before whatever is first
    written to it or read from it.
    """

    def __init__(
        self,
        root: Path,
        *,
        elsewhere: Elsewhere | None = None,
        head: Callable[[int], Head | None] = lambda _: None,
        workers: int = 4,
        max_open: int = 256,
        tenure: Tenure | None = None,
    ) -> None:
        self._root = root
        self._elsewhere = elsewhere
        self._head = head
        self._tenure = tenure or Tenure()
        self._max_open = max_open
        self._slots: OrderedDict[int, _Slot] = OrderedDict()  # least lately used first
        self._aside = set[int]()  # logs whose files were closed for want of room
        self._followers = Followers(self.next_line)
        self._workers = asyncio.Semaphore(workers)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="log")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def append(
        self, task_id: int, text: bytes, line_count: int, *, attempt: int = 0, seq: int = 0
    ) -> None:
        """Adds whole lines and wakes those who follow. Appends to one log keep their order.

        Args:
            task_id: whose log.
            text: UTF-8, each line ended by a newline; empty to move the mark alone.
            line_count: how many lines.
            attempt: with `seq`: which of the runner's output is durable with this append. An append
                whose mark is not greater than the log's is a replay and is dropped. Lines of the
                service's own leave both 0 and keep the mark.
            seq: see `attempt`.

        Raises:
            LogUnavailable: nothing was added.
            ValueError: the text is not that many whole lines.
        """
        if text.count(b"\n") != line_count or (text and not text.endswith(b"\n")):
            raise ValueError(f"the text for log {task_id} is not {line_count} whole lines")
        mark = (attempt, seq) if attempt or seq else None
        appended = None
        try:
            appended = await self._write(
                task_id, _Lines(text, line_count, mark), self._head(task_id)
            )
        finally:  # the lines are there for a cancelled caller too
            self._followers.lines_came(task_id, appended)

    async def begin(self, task_id: int) -> None:
        """Makes a log begin with its first lines, if it does not already.

        Raises:
            LogUnavailable: nothing was added.
        """
        if (head := self._head(task_id)) is not None:
            await self._write(task_id, _NOTHING, head)

    async def mark(self, task_id: int) -> tuple[int, int]:
        """The greatest mark that is durable; (0, 0) for none."""
        return (await self._last(task_id)).mark

    async def next_line(self, task_id: int) -> int:
        """The number that the next line will have; 1 for an empty or missing log."""
        return (await self._last(task_id)).end_line + 1

    async def size(self, task_id: int) -> int:
        """The bytes of its text."""
        return (await self._last(task_id)).end_offset

    async def read(
        self, task_id: int, from_line: int, *, max_lines: int, max_bytes: int
    ) -> LogSlice:
        """Lines from one on (1 and less is the first), as many as both limits allow.

        There is at least one where there is any; past the end there is none.

        Raises:
            LogUnavailable, Unavailable: the log can't be read now.
        """
        first = max(from_line, 1)
        found = await self._read(
            task_id, lambda log: files.read_slice(log, first, max_lines, max_bytes)
        )
        return found or LogSlice(first, 0, b"")

    async def read_on(self, task_id: int, from_line: int, *, max_bytes: int) -> LogSlice:
        """Lines from one on, within the limit; it is for those who read on to the end.

        There is at least one where there is any; past the end there is none.

        Raises:
            LogUnavailable, Unavailable: the log can't be read now.
        """
        found = await self._read(task_id, lambda log: files.read_on(log, from_line, max_bytes))
        return found or LogSlice(from_line, 0, b"")

    async def read_end(self, task_id: int, *, max_bytes: int) -> LogSlice:
        """The last whole lines, as many as the limit allows; a line has 64 KiB at most."""
        found = await self._read(task_id, lambda log: files.read_end(log, max_bytes))
        return found or LogSlice(1, 0, b"")

    def follow(self, task_id: int) -> AbstractContextManager[Follower]:
        """Gives a follower, whose `wait` returns when a line is there."""
        return self._followers.follow(task_id)

    def wake(self, task_id: int) -> None:
        """Wakes those who follow a log although no line came, such as when its job has ended."""
        self._followers.call(task_id)

    async def close(self, task_id: int) -> None:
        """Makes a log safe against a power cut and closes its files; the next append opens them."""
        if task_id not in self._slots and task_id not in self._aside:
            return
        async with self._slot(task_id) as slot:
            if task_id in self._aside:
                await self._run(_open, slot, self._directory(task_id))
                self._aside.discard(task_id)
            await self._run(_close, slot)
        if not slot.users:
            self._slots.pop(task_id, None)

    async def aclose(self) -> None:
        """Closes every log, then this object. Called once, last."""
        for task_id in list(self._slots):
            await self.close(task_id)
        await asyncio.to_thread(self._executor.shutdown)

    async def take_over(self, task_id: int) -> None:
        """Takes a log over from another server, which may be writing to it for a moment yet.

        That one has its files open and writes to what nobody reads from then on.
        """
        await self._run(files.renew, self._directory(task_id))

    async def remove(self, task_id: int) -> None:
        """Removes a log; one that is not there is no error."""
        await self.close(task_id)
        await self._run(files.remove, self._directory(task_id))
        self._followers.forget(task_id)

    async def _last(self, task_id: int) -> Record:
        slot = self._slots.get(task_id)
        if slot is not None and slot.writer is not None:
            return slot.writer.last
        return await self._read(task_id, files.last_record) or EMPTY

    async def _read(self, task_id: int, read: Callable[[Path], T | None]) -> T | None:
        """What `read` finds in the directory of a log, wherever that is; None where it is not."""
        head = self._head(task_id)  # before the look, since afterwards there may be none
        found = await self._run(read, self._directory(task_id))
        if found is None and head is not None:
            await self._write(task_id, _NOTHING, head)
            return await self._run(read, self._directory(task_id))
        if found is None and self._elsewhere is not None:
            directory = await self._elsewhere.fetch(task_id, files.NAMES)
            if directory is not None:
                found = await self._run(read, directory)
                if found is None:
                    raise LogUnavailable(f"the copy of log {task_id} went before it was read")
        return found

    async def _write(self, task_id: int, lines: _Lines, head: Head | None) -> LogSlice | None:
        async with self._slot(task_id) as slot, self._workers:
            self._tenure.check()
            appended = await self._run(_append, slot, self._directory(task_id), lines, head)
            await self._put_aside_spare()
            return appended

    @contextlib.asynccontextmanager
    async def _slot(self, task_id: int) -> AsyncIterator[_Slot]:
        """Gives the log to one writer at a time, in the order in which they came."""
        slot = self._slots.setdefault(task_id, _Slot())
        self._slots.move_to_end(task_id)
        slot.users += 1
        try:
            async with slot.lock:
                yield slot
        finally:
            slot.users -= 1

    async def _put_aside_spare(self) -> None:
        """Puts logs aside that nobody writes now, the least lately used first, down to the limit.

        None waits for the disk: whoever is done with a log closes it.
        """
        while len(self._slots) > self._max_open:
            spare = (task_id for task_id, slot in self._slots.items() if not slot.users)
            if (task_id := next(spare, None)) is None:
                return
            self._aside.add(task_id)
            await self._run(_put_aside, self._slots.pop(task_id))

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await threads.run_in_thread(self._executor, work, *args, **kwargs)
        except OSError as error:
            raise LogUnavailable(str(error)) from error

    def _directory(self, task_id: int) -> Path:
        return self._root / ids.directory_of(task_id)


def _open(slot: _Slot, directory: Path) -> LogWriter:
    if slot.writer is None:
        slot.writer = LogWriter.open(directory)
    return slot.writer


def _append(slot: _Slot, directory: Path, lines: _Lines, head: Head | None) -> LogSlice | None:
    """What was added; None where nothing was."""
    writer = _open(slot, directory)
    if lines.mark is not None and lines.mark <= writer.last.mark:
        return None
    text, line_count = lines.text, lines.count
    if head is not None and not writer.last.end_line:
        first, count = head()
        text, line_count = first + text, count + line_count
    if lines.mark is None and not text:
        return None
    first_line = writer.last.end_line + 1
    try:
        writer.append(text, line_count, mark=lines.mark)
    except OSError:
        slot.writer = None  # whoever opens it again finds it whole
        with contextlib.suppress(OSError):
            writer.close()
        raise
    return LogSlice(first_line, line_count, text) if text else None


def _close(slot: _Slot) -> None:
    if slot.writer is not None:
        writer, slot.writer = slot.writer, None
        writer.close()


def _put_aside(slot: _Slot) -> None:
    if slot.writer is not None:
        writer, slot.writer = slot.writer, None
        writer.put_aside()
