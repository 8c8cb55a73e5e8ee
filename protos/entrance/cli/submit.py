"""`entrance submit`: send code to an engine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrance.cli import arguments
from entrance.cli.exits import ExitCode
from entrance.cli.invocation import Invocation
from entrance.cli.problems import Problem

if TYPE_CHECKING:
    from entrance.cli.output import Output
    from entrance.client import JobHandle, SubmitOptions

ENGINES = {".sql": "duckdb", ".py": "python", ".sh": "shell"}
STDIN = "-"


def submit(
    invocation: Invocation,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="The code; - reads it from stdin.")
    ] = None,
    code: Annotated[
        str | None, typer.Option("--execute", "-e", metavar="CODE", help="The code itself.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="The engine, such as duckdb. Default: by the file's ending: .sql duckdb, "
            ".py python, .sh shell."
        ),
    ] = None,
    run_type: Annotated[
        str | None, typer.Option(help="The dialect of the code. Default: the engine's first one.")
    ] = None,
    creator: Annotated[
        str | None,
        typer.Option(help="The application that the job comes from. Default: IDE."),
    ] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A value for ${NAME} in the code. Repeatable."),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting for this run. Repeatable."),
    ] = None,
    startup: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A setting of the session that it runs in, such as its memory. Repeatable.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A label to keep with the job. Repeatable."),
    ] = None,
    priority: Annotated[
        int,
        typer.Option(
            callback=arguments.fits(32), help="Higher ones start first, from -100 to 100."
        ),
    ] = 0,
    request_id: Annotated[
        str | None, typer.Option(help="Submitting again with the same id gives the same job.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Run the job as this user; for administrators.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show the log until the job has ended.")
    ] = False,
) -> ExitCode | None:
    """Submit code and print the job's execID.

    The code is that of a file, of -e or of stdin. With -f the log is printed instead until the job
    has ended, and the exit code tells how. Ctrl-C leaves the job as it is.
    """
    from entrance.client import JobParams

    script = _script(file, code)
    options: SubmitOptions = {
        "run_type": run_type,
        "creator": creator,
        "variables": arguments.pairs("--var", var),
        "params": JobParams(
            startup=arguments.pairs("--startup", startup),
            runtime=arguments.pairs("--param", param),
        ),
        "labels": arguments.pairs("--label", label),
        "source": script.source,
        "execute_user": user,
        "request_id": request_id,
        "priority": priority,
    }
    with invocation.client() as client:
        job = client.submit(script.code, engine=engine or script.engine(), **options)
    _tell(invocation.output, job, follow)
    if not follow:
        return None
    from entrance.cli import attach

    return attach.follow_log(invocation, str(job.task_id))


def _tell(output: Output, job: JobHandle, follow: bool) -> None:
    if output.json:
        output.object({"execID": job.exec_id, "taskID": job.task_id})
    elif follow:
        output.note(f"job {job.task_id} is accepted: {job.exec_id}")
    else:
        output.line(job.exec_id)
        output.note(f"job {job.task_id} is accepted; entrance log -f {job.task_id} follows it")


@dataclass(frozen=True, slots=True)
class _Script:
    """Code with where it is from; `name` is empty for code that is from no file."""

    code: str
    name: str = ""

    @property
    def source(self) -> dict[str, str]:
        return {"scriptPath": self.name} if self.name else {}

    def engine(self) -> str:
        """The engine that the file's ending names."""
        engine = ENGINES.get(Path(self.name).suffix.lower())
        if engine is None:
            raise Problem("name the engine by --engine; `entrance engines` lists those there are")
        return engine


def _script(file: str | None, code: str | None) -> _Script:
    if code is not None and file is not None:
        raise Problem("there is both FILE and -e CODE; leave one out")
    if code is not None:
        return _Script(code)
    if file is None:
        raise Problem("there is no code; name a FILE, - for stdin, or give -e CODE")
    if file == STDIN:
        return _Script(_decoded(sys.stdin.buffer.read(), "stdin"))
    return _Script(_decoded(Path(file).read_bytes(), file), file)


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(
            f"{name} is not UTF-8 at byte {error.start}; save it as UTF-8 and submit it again"
        ) from error
