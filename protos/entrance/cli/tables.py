"""A result table for people: aligned, as wide as the terminal, the first rows alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from entrance.cli.terminal import harmless
from entrance.client import Column, Result, Row

if TYPE_CHECKING:
    from entrance.cli.output import Output

_CELL_WIDTH = 40
_WIDE = 100_000  # columns of a page that is no terminal
_GAP = 3  # columns between two cells
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")


def show(output: Output, result: Result, limit: int) -> None:
    """Prints the first rows; says on stderr what is left out."""
    rows = list(itertools.islice(result.rows(), limit))
    columns = result.info.columns
    console = output.console
    count = _fitting(columns, rows, console.width) if output.terminal else len(columns)
    table = _table(columns[:count], rows, cut=output.terminal)
    if output.terminal:
        console.print(table)
    else:
        for line in _plain_lines(table):
            output.line(line)
    _tell_left_out(output, result, len(rows), count)


def _table(columns: Sequence[Column], rows: Sequence[Row], *, cut: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        is_number = column.data_type.partition("(")[0] in _NUMBERS
        table.add_column(
            Text(harmless(column.name)),
            justify="right" if is_number else "left",
            no_wrap=True,
            max_width=_CELL_WIDTH if cut else None,
        )
    for row in rows:
        table.add_row(*(_cell(text) for text in row[: len(columns)]))
    return table


def _cell(text: str | None) -> Text:
    return Text("NULL", "dim") if text is None else Text(harmless(text))


def _plain_lines(table: Table) -> list[str]:
    page = Console(width=_WIDE, color_system=None, force_terminal=False)
    with page.capture() as captured:
        page.print(table, crop=False)
    return [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]


def _fitting(columns: Sequence[Column], rows: Sequence[Row], width: int) -> int:
    """How many columns have room, one at least."""
    used = 0
    for index, column in enumerate(columns):
        texts = [column.name, *(row[index] or "NULL" for row in rows)]
        widest = max(cell_len(harmless(text)) for text in texts)
        used += min(widest, _CELL_WIDTH) + _GAP
        if used - _GAP > width:
            return max(index, 1)
    return len(columns)


def _tell_left_out(output: Output, result: Result, rows: int, columns: int) -> None:
    info = result.info
    missing = []
    if rows < info.row_count:
        missing.append(f"{rows:,} of {info.row_count:,} rows")
    if columns < len(info.columns):
        missing.append(f"{columns} of {len(info.columns)} columns")
    if missing:
        output.note(f"{' and '.join(missing)} shown; --format csv gives all")
