"""Result sets as files: their kinds, their columns' types, and how a table is written."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ResultKind(enum.StrEnum):
    """What a result set holds."""

    TABLE = "TABLE"
    TEXT = "TEXT"
    PICTURE = "PICTURE"
    HTML = "HTML"


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
