"""How a log is shown: as plain lines or as objects; `live` has the ways of terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from entrance.cli import shapes
from entrance.cli.exits import ExitCode
from entrance.client import Job, JobStatus, LogLine, Progress

if TYPE_CHECKING:
    from entrance.cli.output import Output

_EXIT_CODES = {
    JobStatus.SUCCEED: ExitCode.SUCCEED,
    JobStatus.FAILED: ExitCode.FAILED,
    JobStatus.CANCELLED: ExitCode.CANCELLED,
    JobStatus.TIMEOUT: ExitCode.TIMEOUT,
}


class View:
    """Plain lines on stdout, and how the job ended on stderr.

    Lines and progress are shown within its block, the end after it.

    Attributes:
        live: whether it shows progress below lines, and wants `flush` some times a second.
    """

    live = False

    def __init__(self, output: Output) -> None:
        self.output = output

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves stdout as it was."""

    def line(self, line: LogLine) -> None:
        """Shows a log line, at the next flush at the latest."""
        self.output.line(line.text)

    def progress(self, progress: Progress) -> None:
        """Shows how far the job is."""
        self.output.line("\t".join(progress_words(progress)))

    def flush(self) -> None:
        """Shows the lines that were held back."""

    def ended(self, job: Job) -> None:
        """Shows how the job ended."""
        self.output.note(summary(job))


class ObjectView(View):
    """Objects on stdout: one for each line, and the job's end as the last."""

    def line(self, line: LogLine) -> None:
        """Writes a log line."""
        self.output.object(shapes.line(line))

    def progress(self, progress: Progress) -> None:
        """Writes how far the job is."""
        self.output.object(shapes.progress(progress))

    def ended(self, job: Job) -> None:
        """Writes how the job ended."""
        self.output.object(shapes.ending(job))


def view_for(output: Output, *, bar: bool) -> View:
    """The view that fits where stdout goes; `bar` asks for a progress bar where one can be."""
    if output.json:
        return ObjectView(output)
    if not output.terminal:
        return View(output)
    from entrance.cli import live

    return live.LiveView(output) if bar and output.live else live.ColorView(output)


def progress_words(progress: Progress) -> list[str]:
    """Share, status, tasks and memory of a job, each where it is known."""
    words = [
        f"{progress.progress:.0%}",
        f"{progress.status}{' (paused)' if progress.paused else ''}",
    ]
    total = sum(stage.total_tasks for stage in progress.stages)
    if total:
        done = sum(stage.succeed_tasks + stage.failed_tasks for stage in progress.stages)
        words.append(f"{done}/{total}")
    if progress.resources is not None:
        words.append(f"{progress.resources.memory_bytes / 2**20:,.0f} MiB")
    return words


def summary(job: Job) -> str:
    """How a job ended, in a sentence."""
    text = f"job {job.task_id} ended as {job.status}{_duration(job)}"
    if job.error is not None:
        text += f": {job.error.message} ({job.error.code})"
    if job.result_count:
        results = "1 result" if job.result_count == 1 else f"{job.result_count} results"
        text += f"; {results}: entrance result {job.task_id}"
    return text


def exit_code(job: Job) -> ExitCode:
    """The exit code for how a job ended."""
    return _EXIT_CODES[job.status]


def _duration(job: Job) -> str:
    begin = job.start_time or job.create_time
    if begin is None or job.end_time is None:
        return ""
    return f" after {(job.end_time - begin).total_seconds():.1f} s"
