"""`entrance result`: a job's results, shown or saved."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrance.cli import arguments, destination
from entrance.cli.exits import ExitCode
from entrance.cli.invocation import Invocation
from entrance.cli.problems import Problem

if TYPE_CHECKING:
    from entrance.cli.exports import Format
    from entrance.cli.output import Output
    from entrance.client import JobHandle, Result

ROWS_SHOWN = 100
_ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
}


def result(
    invocation: Invocation,
    id: arguments.JobId,
    index: Annotated[
        int,
        typer.Argument(
            metavar="[INDEX]", min=0, callback=arguments.fits(32), help="Which result, from 0."
        ),
    ] = 0,
    format: Annotated[
        str | None,
        typer.Option(
            help="For a table: table, csv, json (an object for each row), parquet or arrow (an IPC "
            "stream). Default: by the ending of -o, else table."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Save it there; - means stdout."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            callback=arguments.fits(64),
            help="Rows at most. Default: 100 for table, all for the others.",
        ),
    ] = None,
    list_all: Annotated[
        bool, typer.Option("--list", help="List the job's results instead.")
    ] = False,
) -> None:
    """Print a result, or save it.

    Pictures and HTML pages always go to a file, whose path is printed.
    """
    with invocation.client() as client:
        job = client.job(id)
        if list_all:
            _list(invocation.output, job)
            return
        found = _find(job, index)
        if found.info.type == "table":
            _table(invocation.output, found, _format(format, out, invocation.json), out, limit)
        elif format is not None:
            raise Problem(f"result {index} is of type {found.info.type}; --format is for tables")
        elif found.info.type == "text" and out is None:
            _text(invocation.output, found)
        else:
            _media(invocation.output, found, out or _file_name(job, found))


def _find(job: JobHandle, index: int) -> Result:
    from entrance.client import JobFailed, JobStatus, NotFound

    try:
        return job.result(index, wait=False)
    except NotFound:
        now = job.get()
        if not now.status.is_final:
            raise Problem(
                f"job {job.task_id} is {now.status} and has no result {index} yet; "
                f"entrance log -f {job.task_id} waits for its end",
                ExitCode.FAILED,
            ) from None
        if now.status is not JobStatus.SUCCEED:
            raise JobFailed(now) from None
        raise


def _format(chosen: str | None, out: str | None, json: bool) -> Format:
    from entrance.cli.exports import Format

    if chosen is None and out not in (None, destination.STDOUT):
        chosen = _ENDINGS.get(Path(str(out)).suffix.lower())
    if chosen is None:
        return Format.JSON if json else Format.TABLE
    return arguments.choices("--format", Format, [chosen])[0]


def _list(output: Output, job: JobHandle) -> None:
    from entrance.cli import shapes

    found = job.results()
    if output.json:
        for info in found:
            output.object(shapes.result_set(info))
        return
    output.table(
        ["INDEX", "TYPE", "ROWS", "COLUMNS", "BYTES", "STATEMENT", "MEDIA TYPE"],
        [
            [
                str(info.index),
                info.type,
                str(info.row_count) if info.columns else "",
                str(len(info.columns)) if info.columns else "",
                str(info.size_bytes),
                str(info.statement),
                info.media_type,
            ]
            for info in found
        ],
    )


def _text(output: Output, result: Result) -> None:
    if output.json:
        output.object({"index": result.info.index, "type": result.info.type, "text": result.text()})
    else:
        output.text(result.text().removesuffix("\n"))


def _media(output: Output, result: Result, out: str) -> None:
    _refuse_binary(output, out)
    with destination.opened(out) as file:
        for piece in result.pieces():
            file.write(piece)
    if out != destination.STDOUT:
        _tell_saved(output, out)


def _table(
    output: Output, result: Result, format: Format, out: str | None, limit: int | None
) -> None:
    from entrance.cli import exports

    target = out or destination.STDOUT
    if format is exports.Format.TABLE:
        from entrance.cli import tables

        if target != destination.STDOUT:
            raise Problem("a table is for reading here; to save it, take --format csv or another")
        tables.show(output, result, ROWS_SHOWN if limit is None else limit)
    elif format.is_binary:
        _refuse_binary(output, target)
        with destination.opened(target) as file:
            exports.write_binary(result, format, limit, file)
    elif target == destination.STDOUT:
        for line in exports.text_lines(result, format, limit):
            output.line(line)
    else:
        with destination.opened(target) as file:
            for line in exports.text_lines(result, format, limit):
                file.write(f"{line}\n".encode())
    if target != destination.STDOUT:
        _tell_saved(output, target)


def _refuse_binary(output: Output, out: str) -> None:
    if out == destination.STDOUT and output.terminal:
        raise Problem("this is binary and would spoil the terminal; save it by -o FILE or pipe it")


def _tell_saved(output: Output, path: str) -> None:
    if output.json:
        output.object({"file": path, "sizeBytes": Path(path).stat().st_size})
    else:
        output.line(path)


def _file_name(job: JobHandle, result: Result) -> str:
    fallback = ".html" if result.info.type == "html" else ".bin"
    ending = mimetypes.guess_extension(result.info.media_type) or fallback
    return f"job-{job.task_id}-{result.info.index}{ending}"
