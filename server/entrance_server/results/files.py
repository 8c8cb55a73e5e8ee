"""The result files of all jobs: take in, page, stream."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import os
import shutil
import stat
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from entrance_server import threads
from entrance_server.domain import ids
from entrance_server.domain.job import ResultSet, ResultType
from entrance_server.domain.sizes import spoken
from entrance_server.job_files import Elsewhere
from entrance_server.results import contents
from entrance_server.results.errors import ResultRejected, ResultUnavailable, UnreadableTable
from entrance_server.results.window import Window
from entrance_server.tenure import Tenure

if TYPE_CHECKING:
    from entrance_server.results.tables import TableFile

P = ParamSpec("P")
T = TypeVar("T")

MAX_PAGE_BYTES = 2 * 1024 * 1024  # of a page of rows, as characters

_DIRECTORY = "results"
_STAGING = "staging"  # beside the directories of jobs, whose names are numbers
_SUFFIXES = {
    ResultType.TABLE: ".parquet",
    ResultType.TEXT: ".txt",
    ResultType.PICTURE: ".picture",
    ResultType.HTML: ".html",
}
_PASSING_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS}
)


class ResultFiles:
    """Result sets of jobs in files below a directory: tables as Parquet, others as they are.

    Once its tenure has ended nothing is changed there, where another server may act by then.
    """

    def __init__(
        self,
        root: Path,
        *,
        elsewhere: Elsewhere | None = None,
        workers: int = 4,
        tenure: Tenure | None = None,
    ) -> None:
        self._root = root
        self._elsewhere = elsewhere
        self._tenure = tenure or Tenure()
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="results")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends what is being read. Called once, last."""
        await asyncio.to_thread(self._executor.shutdown)

    def directory(self, task_id: int) -> Path:
        """The final home of a job's result files; made where it is missing. Blocks."""
        directory = self._directory(task_id)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def staging(self, run_id: str) -> Path:
        """The directory for the files of a run, from which `adopt` takes them."""
        return self._root / _STAGING / run_id

    async def make_staging(self, run_id: str) -> Path:
        """Makes the directory for the files of a run, where it is missing.

        Raises:
            ResultUnavailable: it can't be made.
        """
        staging = self.staging(run_id)
        await self._change(staging.mkdir, parents=True, exist_ok=True)
        return staging

    async def remove_staging(self, run_id: str) -> None:
        """Removes what a run left in its staging directory, which need not be there.

        Raises:
            ResultUnavailable: something of it is still there.
        """
        await self._change(_remove_tree, self.staging(run_id))

    async def staged(self) -> frozenset[str]:
        """The runs that have a staging directory.

        Raises:
            ResultUnavailable: they can't be listed.
        """
        return await self._run(_names_in, self._root / _STAGING)

    async def adopt(
        self,
        task_id: int,
        attempt: int,
        staging: Path,
        result: ResultSet,
        *,
        max_bytes: int | None = None,
    ) -> ResultSet:
        """Moves the file `result.file_name` from a run's directory into the job's own.

        The answer has the file's new name, its size and, for a table, its rows. A file that was
        adopted before is not missed.

        Raises:
            ResultRejected: there is no such file, it is no regular file directly in the directory,
                it has more than `max_bytes`, or it is no readable table with the columns that were
                told.
            ResultUnavailable: it could not be moved.
        """
        target = self._directory(task_id) / f"{attempt}-{result.index}{_SUFFIXES[result.type]}"
        return await self._change(_adopt, staging, target, result, max_bytes)

    async def read_rows(
        self,
        task_id: int,
        result: ResultSet,
        offset: int,
        limit: int,
        *,
        max_bytes: int = MAX_PAGE_BYTES,
    ) -> list[list[str | None]]:
        """Rows of a table from an offset on, their cells as text (see `results.cells`).

        A page may have fewer rows than asked for, since it ends at about `max_bytes` too; it is
        empty only past the end.

        Raises:
            ResultUnavailable: the file can't be read.
        """
        table = await self.table(task_id, result)
        return await self._run(table.page, offset, limit, max_bytes)

    async def read_window(
        self, task_id: int, result: ResultSet, window: Window
    ) -> list[list[str | None]]:
        """The rows of a window of a table, as far as it has them, as text.

        Raises:
            PageTooLarge: they have more than they may.
            ResultUnavailable: the file can't be read.
        """
        table = await self.table(task_id, result)
        return await self._run(table.window, window)

    async def modify_times(self, task_id: int, results: Sequence[ResultSet]) -> Sequence[datetime]:
        """When the files of result sets were made.

        Raises:
            ResultUnavailable: a file is gone.
        """
        try:
            return await self._run(_modify_times, [self._path(task_id, one) for one in results])
        except ResultUnavailable as error:
            elsewhere = self._elsewhere
            times = await elsewhere.modify_times(task_id) if elsewhere is not None else {}
            if not times:
                raise
            try:
                return [times[_name(one)] for one in results]
            except KeyError:
                raise error from None

    async def read_bytes(self, task_id: int, result: ResultSet, offset: int, size: int) -> bytes:
        """A part of a result's content; empty past the end.

        Raises:
            ResultUnavailable: the file can't be read.
        """
        path = await self.located(task_id, result)
        return await self._run(contents.read, path, offset, size)

    async def stream(
        self, task_id: int, result: ResultSet, offset: int
    ) -> AsyncGenerator[bytes, None]:
        """A whole result but for the rows, or bytes of another kind, before an offset.

        A table comes as an Arrow IPC stream with its schema, whatever the offset is, a
        batch of rows at a time. One is read when the one before is sent, so that a slow reader
        costs no more than two.

        Raises:
            ResultUnavailable: the file can't be read.
        """
        if result.type is ResultType.TABLE:
            pieces = (await self.table(task_id, result)).arrow_stream(offset)
        else:
            pieces = contents.pieces(await self.located(task_id, result), offset)
        async with aclosing(self._sent(pieces)) as sent:
            async for piece in sent:
                yield piece

    async def stream_file(self, task_id: int, result: ResultSet) -> AsyncGenerator[bytes, None]:
        """A result's file as it is: Parquet for a table, the content itself for another kind.

        Raises:
            ResultUnavailable: the file can't be read.
        """
        path = await self.located(task_id, result)
        async with aclosing(self._sent(contents.pieces(path))) as sent:
            async for piece in sent:
                yield piece

    async def _sent(self, pieces: Generator[bytes, None, None]) -> AsyncGenerator[bytes, None]:
        """The pieces, cut where they are large. Each is read while the one before is sent."""
        coming = asyncio.create_task(self._run(next, pieces, b""))
        try:
            while piece := await coming:
                coming = asyncio.create_task(self._run(next, pieces, b""))
                for start in range(0, len(piece), contents.PIECE):
                    yield piece[start : start + contents.PIECE]
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            pieces.close()

    async def remove(self, task_id: int, *, attempt: int) -> None:
        """Removes the result files of a job's tries up to one, and directories that are empty then.

        Those of later tries stay: another server may have taken the job over and begun one.
        """
        await self._change(_remove, self._directory(task_id), attempt)

    async def _change(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def checked() -> T:
            self._tenure.check()
            return work(*args, **kwargs)

        return await self._run(checked)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await threads.run_in_thread(self._executor, work, *args, **kwargs)
        except OSError as error:
            raise ResultUnavailable(str(error)) from error

    def _directory(self, task_id: int) -> Path:
        return self._root / ids.directory_of(task_id) / _DIRECTORY

    async def table(self, task_id: int, result: ResultSet) -> TableFile:
        """A table, to be read in threads; for those of this package alone.

        Raises:
            ResultUnavailable, Unavailable: it is nowhere, or can't be had now.
        """
        return await self._run(_table, await self.located(task_id, result))

    async def located(self, task_id: int, result: ResultSet) -> Path:
        """Where a result's file is now; for those of this package alone.

        Raises:
            ResultUnavailable, Unavailable: it is nowhere, or can't be had now.
        """
        path = self._path(task_id, result)
        if self._elsewhere is None or await self._run(path.exists):
            return path
        copies = await self._elsewhere.fetch(task_id, [_name(result)])
        return path if copies is None else copies / _name(result)

    def _path(self, task_id: int, result: ResultSet) -> Path:
        return self._directory(task_id) / result.file_name


def _name(result: ResultSet) -> str:
    """The path of a result's file below the job's directory."""
    return f"{_DIRECTORY}/{result.file_name}"


def _adopt(staging: Path, target: Path, result: ResultSet, max_bytes: int | None) -> ResultSet:
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lasting_errors_rejected():
        _move(staging, result.file_name, target)
    try:
        with _lasting_errors_rejected():
            # what was moved may not be what was looked at
            size = _regular(target.lstat(), result.file_name).st_size
            if max_bytes is not None and size > max_bytes:
                raise ResultRejected(
                    f"it has {spoken(size)}, more than the {spoken(max(max_bytes, 0))} that are "
                    "left of what the results of one job may have; select fewer rows or columns"
                )
            rows = _count_rows(target, result) if result.type is ResultType.TABLE else 0
            _sync(target)
            _sync(target.parent)
    except ResultRejected:
        _discard(target)
        raise
    return dataclasses.replace(result, file_name=target.name, row_count=rows, size_bytes=size)


def _move(staging: Path, name: str, target: Path) -> None:
    """Moves a regular file, and nothing else: user code may have put anything there."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ResultRejected(f"'{name}' is not the name of a file in the result directory")
    try:
        with _opened(staging, os.O_DIRECTORY) as directory:
            _regular(os.lstat(name, dir_fd=directory), name)
            os.rename(name, target, src_dir_fd=directory)
    except FileNotFoundError:
        if not os.path.lexists(target):
            raise ResultRejected(f"there is no file '{name}' in the result directory") from None


def _regular(found: os.stat_result, name: str) -> os.stat_result:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise ResultRejected(f"'{name}' is not a regular file with one name")
    return found


def _table(path: Path) -> TableFile:
    """A table; blocks, since the first one loads what reads tables."""
    from entrance_server.results.tables import TableFile

    return TableFile(path)


def _count_rows(path: Path, result: ResultSet) -> int:
    try:
        rows, columns = _table(path).shape()
    except (ValueError, UnreadableTable) as error:
        raise ResultRejected(f"'{result.file_name}' is not a readable table: {error}") from error
    if columns != len(result.columns):
        raise ResultRejected(
            f"'{result.file_name}' has {columns} columns rather than {len(result.columns)}"
        )
    return rows


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextlib.contextmanager
def _lasting_errors_rejected() -> Iterator[None]:
    """Tells errors of the file itself, which may be anything, from those of a disk in trouble."""
    try:
        yield
    except OSError as error:
        if error.errno in _PASSING_ERRORS:
            raise
        raise ResultRejected(f"the file is not readable: {error}") from error


def _modify_times(paths: Sequence[Path]) -> Sequence[datetime]:
    return [datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in paths]


def _remove(directory: Path, attempt: int) -> None:
    for name in _names_in(directory):
        number = name.partition("-")[0]
        if number.isdecimal() and int(number) <= attempt:
            _discard(directory / name)
    for emptied in (directory, directory.parent):
        with contextlib.suppress(OSError):
            emptied.rmdir()


def _names_in(directory: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except FileNotFoundError:
        return frozenset()


def _remove_tree(path: Path) -> None:
    """Removes a directory; what user code made impossible to remove is left."""
    try:
        _remove_directory(path)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in _PASSING_ERRORS:
            raise
        shutil.rmtree(path, ignore_errors=True)


def _remove_directory(path: Path) -> None:
    try:
        path.rmdir()  # it is empty where nothing was made or all was taken
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        shutil.rmtree(path)


def _sync(path: Path) -> None:
    with _opened(path) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def _opened(path: Path, flags: int = 0) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
