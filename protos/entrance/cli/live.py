"""A job on a terminal: lines coloured by level, and a progress bar below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from entrance.cli.terminal import harmless
from entrance.cli.views import View, progress_words, summary
from entrance.client import Job, JobStatus, LogLevel, LogLine, Progress

if TYPE_CHECKING:
    from entrance.cli.output import Output

_LINES_AT_ONCE = 500
_STYLES = {LogLevel.INFO: "", LogLevel.WARN: "yellow", LogLevel.ERROR: "red"}


class ColorView(View):
    """Lines in the colours of their levels; several are drawn at once, since each costs time."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._held: list[Text] = []

    def __exit__(self, *_: object) -> None:
        """Draws the lines that are held back."""
        self.flush()

    def line(self, line: LogLine) -> None:
        """Holds a line back until there are enough."""
        self._held.append(colored(line))
        if len(self._held) >= _LINES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Draws the lines that are held back."""
        if self._held:
            self.output.console.print(Text("\n").join(self._held), soft_wrap=True)
            self._held.clear()

    def ended(self, job: Job) -> None:
        """Shows how the job ended, green or red."""
        style = "green" if job.status is JobStatus.SUCCEED else "red"
        self.output.console.print(Text(harmless(summary(job)), style), soft_wrap=True)


class LiveView(ColorView):
    """Lines as they come, above a bar that goes away at the end."""

    live = True

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._bar = progress_bar(output.console)
        self._task = self._bar.add_task("", total=1.0, state="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Draws the lines that are held back and takes the bar away."""
        super().__exit__()
        self._bar.stop()

    def progress(self, progress: Progress) -> None:
        """Moves the bar."""
        _share, *words = progress_words(progress)
        self._bar.update(self._task, completed=progress.progress, state="  ".join(words))


def progress_bar(console: Console) -> Bar:
    """A bar that goes away when it is stopped; its tasks have a `state`."""
    return Bar(
        SpinnerColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def colored(line: LogLine) -> Text:
    """A line in its own colours and, where it has none, in that of its level."""
    text = Text.from_ansi(harmless(line.text.rstrip("\r"), colors=True))
    text.style = _STYLES[line.level]
    return text
