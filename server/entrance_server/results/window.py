"""A part of a table that is read at once, or not at all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Some rows of a table, with some of their columns, and what they may have at most.

    Attributes:
        rows: Which rows; those past the end are left out.
        columns: Which columns.
        max_bytes: Of all cells, as UTF-8.
        max_cell: Characters of a cell; None for any number.
        null_bytes: What a NULL counts.
    """

    rows: range
    columns: slice
    max_bytes: int
    max_cell: int | None
    null_bytes: int = 0
