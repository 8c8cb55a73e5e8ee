"""Result sets as files in a run's result directory."""

from __future__ import annotations

import contextlib
import enum
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ARROW_STREAM = "application/vnd.apache.arrow.stream"  # what readers of a table are sent

_FILE_NAME = re.compile(r"[0-9]+\.[a-z]+")


class ResultKind(enum.StrEnum):
    """What a result set holds."""

    TABLE = "TABLE"
    TEXT = "TEXT"
    PICTURE = "PICTURE"
    HTML = "HTML"


# media types of contents that are kept as they are: their kind and the ending of their file
CONTENTS = {
    "image/png": (ResultKind.PICTURE, "png"),
    "image/jpeg": (ResultKind.PICTURE, "jpg"),
    "image/svg+xml": (ResultKind.PICTURE, "svg"),
    "text/html": (ResultKind.HTML, "html"),
    "text/plain": (ResultKind.TEXT, "txt"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; the type is a lower-case SQL name."""

    name: str
    data_type: str


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A complete result set in the run's result directory."""

    index: int
    kind: ResultKind
    media_type: str
    file_name: str
    size_bytes: int
    row_count: int = 0
    columns: tuple[Column, ...] = ()
    statement: int = 0

    def to_json(self) -> dict[str, Any]:
        """As JSON values, for a message between processes."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ResultFile:
        """What `to_json` gave.

        Raises:
            ValueError: the file's name is not one of those that ResultDirectory gives.
        """
        if not _FILE_NAME.fullmatch(value["file_name"]):  # user code could have sent this
            raise ValueError(f"not a file_name of a result: {value['file_name']!r}")
        columns = tuple(Column(**column) for column in value["columns"])
        return cls(**{**value, "kind": ResultKind(value["kind"]), "columns": columns})


class ResultDirectory:
    """Writes the result sets of one run, numbered from 0 without gaps.

    A file has its name only when it is complete. Used by the process that runs the code.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0

    def add_table(self, rows: pa.RecordBatchReader, *, statement: int = 0) -> ResultFile:
        """Writes rows as they come into a Parquet file."""
        from entrance_runner import tables

        with self._file("parquet") as (temporary, name):
            row_count, columns = tables.write(rows, temporary)
        return ResultFile(
            index=self._take_index(),
            kind=ResultKind.TABLE,
            media_type=ARROW_STREAM,
            file_name=name,
            size_bytes=(self._path / name).stat().st_size,
            row_count=row_count,
            columns=columns,
            statement=statement,
        )

    def add_content(self, media_type: str, content: bytes, *, statement: int = 0) -> ResultFile:
        """Writes a content of one of the media types in CONTENTS."""
        kind, ending = CONTENTS[media_type]
        with self._file(ending) as (temporary, name):
            temporary.write_bytes(content)
        return ResultFile(
            index=self._take_index(),
            kind=kind,
            media_type=media_type,
            file_name=name,
            size_bytes=len(content),
            statement=statement,
        )

    @contextlib.contextmanager
    def _file(self, ending: str) -> Iterator[tuple[Path, str]]:
        name = f"{self._count}.{ending}"
        temporary = self._path / f".{name}.part"
        try:
            yield temporary, name
            _sync(temporary)
            temporary.replace(self._path / name)
        finally:
            temporary.unlink(missing_ok=True)

    def _take_index(self) -> int:
        self._count += 1
        return self._count - 1


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
