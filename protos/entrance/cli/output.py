"""Where a command writes: results to stdout, messages to stderr; for people or for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from entrance.cli.terminal import harmless

if TYPE_CHECKING:
    from rich.console import Console


class Output:
    """The two streams of a command.

    On a terminal tables have colours and control characters are made visible. A pipe gets plain
    lines; with `--json` each is an object.

    Attributes:
        json: Whether stdout is for programs.
        terminal: Whether stdout is a terminal.
    """

    def __init__(self, *, json: bool = False, color: bool = True) -> None:
        self.json = json
        self.terminal = sys.stdout.isatty()
        self._color = color and not os.environ.get("NO_COLOR")
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    @cached_property
    def console(self) -> Console:
        """The terminal behind stdout."""
        from rich.console import Console

        return Console(
            file=sys.stdout, no_color=not self._color, highlight=False, markup=False, emoji=False
        )

    @property
    def live(self) -> bool:
        """Whether lines on stdout can be written over, as a progress bar needs it."""
        return self.terminal and not self.json and not self.console.is_dumb_terminal

    def line(self, text: str) -> None:
        """Writes a line to stdout at once."""
        print(harmless(text) if self.terminal else text, flush=True)

    def text(self, text: str) -> None:
        """Writes lines to stdout."""
        for line in text.split("\n"):
            self.line(line)

    def object(self, value: Mapping[str, Any]) -> None:
        """Writes an object to stdout as one line at once."""
        print(json.dumps(value), flush=True)

    def note(self, text: str) -> None:
        """Writes a message for people to stderr; programs do not get it."""
        if not self.json:
            print(_to(sys.stderr.isatty(), text), file=sys.stderr, flush=True)

    def error(self, text: str, details: Mapping[str, Any]) -> None:
        """Writes an error to stderr: one line, or an object for programs."""
        if self.json:
            print(json.dumps({"error": details}), file=sys.stderr, flush=True)
        else:
            line = f"error: {' '.join(text.split())}"
            print(_to(sys.stderr.isatty(), line), file=sys.stderr, flush=True)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Writes a table: aligned on a terminal, else with a tab between the cells."""
        if not self.terminal:
            for row in [headers, *rows]:
                self.line("\t".join(" ".join(cell.split()) for cell in row))
            return
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
        for header in headers:
            table.add_column(header, overflow="fold")
        for row in rows:
            table.add_row(*(harmless(cell) for cell in row))
        self.console.print(table)


def _to(terminal: bool, text: str) -> str:
    return harmless(text) if terminal else text
