"""Exports of tables in other formats, made in threads of their own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Self
from weakref import WeakValueDictionary

from entrance_server import threads
from entrance_server.domain.job import ResultSet
from entrance_server.results.errors import ResultUnavailable
from entrance_server.results.files import ResultFiles

MAX_COLUMNS = 16_384  # of a workbook
SILENCE = 5.0  # seconds after which an empty piece tells that an export goes on


class Exports:
    """Makes exports of result files, a few batches of rows at a time, so that all of them advance.

    Workbooks take room on the disk until they are sent; so there are few at once, and others wait.
    A user has still fewer, so that one who takes none of them holds nobody else up.
    An async context manager: entering it empties its directory, which it alone uses.
    """

    def __init__(
        self,
        files: ResultFiles,
        directory: Path,
        *,
        workers: int = 2,
        max_workbooks: int = 8,
        max_workbooks_per_user: int = 2,
    ) -> None:
        self._files = files
        self._directory = directory
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="exports")
        self._turns = asyncio.Semaphore(max_workbooks)
        self._max_per_user = max_workbooks_per_user
        # one is there as long as its user has a workbook, or waits for one
        self._turns_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(_make_empty, self._directory)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._executor.shutdown)

    async def csv(
        self, task_id: int, table: ResultSet, *, separator: str, null: str, limit: int | None
    ) -> AsyncGenerator[bytes, None]:
        """A table as CSV, in pieces; an empty one only tells that it goes on.

        Raises:
            ResultUnavailable: the table can't be read.
        """
        file = await self._files.table(task_id, table)
        made = file.csv(
            [column.name for column in table.columns],
            separator=separator,
            null=null,
            limit=limit,
        )
        async with aclosing(self._sent(made)) as sent:
            async for piece in sent:
                yield piece

    async def workbook(
        self,
        task_id: int,
        table: ResultSet,
        *,
        user: str,
        sheet_name: str,
        null: str,
        limit: int | None,
    ) -> AsyncGenerator[bytes, None]:
        """A table as an Excel workbook for a user, in pieces; an empty one only says it goes on.

        Raises:
            ResultUnavailable: the table can't be read, or the disk is full.
        """
        own = self._turns_of.setdefault(user, asyncio.Semaphore(self._max_per_user))
        turn = asyncio.create_task(self._take_turn(own))
        try:
            while not (await asyncio.wait({turn}, timeout=SILENCE))[0]:
                yield b""
            file = await self._files.table(task_id, table)  # which may have moved meanwhile
            made = file.workbook(
                [column.name for column in table.columns],
                scratch=self._directory,
                sheet_name=sheet_name,
                null=null,
                limit=limit,
            )
            async with aclosing(self._sent(made)) as sent:
                async for piece in sent:
                    yield piece
        finally:
            if not turn.cancel():
                self._turns.release()
                own.release()

    async def _take_turn(self, own: asyncio.Semaphore) -> None:
        await own.acquire()
        try:
            await self._turns.acquire()
        except BaseException:
            own.release()
            raise

    async def _sent(self, pieces: Generator[bytes, None, None]) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        step: asyncio.Task[bytes | None] | None = None
        told = loop.time()
        try:
            while True:
                step = step or asyncio.create_task(self._next(pieces))
                await asyncio.wait({step}, timeout=SILENCE)
                piece = b""
                if step.done():
                    finished, step = step.result(), None
                    if finished is None:
                        return
                    piece = finished
                if piece or loop.time() - told >= SILENCE:
                    yield piece
                    told = loop.time()
        finally:
            if step is not None:
                step.cancel()
                await asyncio.wait({step})
            await threads.run_in_thread(self._executor, pieces.close)

    async def _next(self, pieces: Generator[bytes, None, None]) -> bytes | None:
        try:
            return await threads.run_in_thread(self._executor, next, pieces, None)
        except OSError as error:
            raise ResultUnavailable(str(error)) from error


def _make_empty(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)
    directory.mkdir(mode=0o700, parents=True)
