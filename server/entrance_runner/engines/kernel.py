"""The inside of the Python engine's kernel: what code displays becomes result files.

Run by the engine in a process of its own. Prints go straight to the process's standard output, and
of a displayed object only a note about its file is sent, so that nothing piles up in a queue of
messages, however much a run shows.
"""

# mypy: disallow-untyped-calls=false
# ipykernel and IPython have few types

from __future__ import annotations

import base64
import contextlib
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, cast

from ipykernel.displayhook import ZMQShellDisplayHook
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell
from IPython.core.formatters import DisplayFormatter
from traitlets.config import Config

from entrance_runner.engines.kernel_messages import BEGUN, LINE, RESULT, RESULT_DIRECTORY
from entrance_runner.results import CONTENTS, ResultDirectory, ResultFile

if TYPE_CHECKING:
    import pyarrow as pa

_TABLE = "application/vnd.entrance.table"  # the object itself; never leaves the kernel
_BATCH_ROWS = 16 * 1024


class ResultStore:
    """Writes what a run displays; takes nothing between runs."""

    def __init__(self) -> None:
        self._directory: ResultDirectory | None = None
        self._lock = threading.Lock()

    def begin(self, path: str) -> None:
        """Takes results for a directory."""
        self._directory = ResultDirectory(Path(path))

    def end(self) -> None:
        """Takes no more."""
        self._directory = None

    def note(self, bundle: Mapping[str, Any]) -> dict[str, Any]:
        """Writes an object by the best of its representations; the note about it, perhaps empty."""
        with self._lock:
            file = self._write(self._directory, bundle) if self._directory else None
        return {RESULT: file.to_json()} if file else {}

    def _write(self, directory: ResultDirectory, bundle: Mapping[str, Any]) -> ResultFile | None:
        if _TABLE in bundle:
            table = bundle[_TABLE]
            try:
                return directory.add_table(_rows(table))
            except Exception as error:
                print(f"shown as text, since it can't be a table: {error}", file=sys.stderr)
                return directory.add_content("text/plain", _content("text/plain", repr(table)))
        for media_type in CONTENTS:
            if media_type in bundle:
                return directory.add_content(media_type, _content(media_type, bundle[media_type]))
        return None


class ResultFormatter(DisplayFormatter):
    """Gives a table as it is, and all else in the representations that IPython makes."""

    def format(
        self, obj: object, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The representations of an object, and what is to be known about them."""
        if _is_table(obj):
            return {_TABLE: obj}, {}
        bundle: tuple[dict[str, Any], dict[str, Any]] = super().format(obj, include, exclude)
        return bundle


class ResultPublisher(ZMQDisplayPublisher):
    """Sends notes about what `display` shows; changes of what was shown before are left out."""

    def publish(self, data: Any, *args: Any, update: bool = False, **kwargs: Any) -> None:
        """Writes an object and sends the note about it."""
        if not update and (note := _results(self.shell).note(data)):
            super().publish(note, **kwargs)

    def publish_begun(self) -> None:
        """Sends the note that the code begins."""
        super().publish({BEGUN: ""})


class ResultHook(ZMQShellDisplayHook):
    """Sends a note about the value of the last expression."""

    def write_format_data(self, format_dict: Mapping[str, Any], md_dict: Any = None) -> None:
        """Writes the value."""
        super().write_format_data(_results(self.shell).note(format_dict), {})


class Interrupts:
    """Lets SIGINT reach code alone: one that comes between two parts of a cell hits the next.

    Anywhere else it could end the kernel, or be lost.
    """

    def __init__(self) -> None:
        self._running = False
        self._pending = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Is the handler of the signal."""
        if self._running:
            raise KeyboardInterrupt
        self._pending = True

    def forget(self) -> None:
        """Forgets an interrupt that came too late."""
        self._pending = False

    @contextlib.contextmanager
    def reaching(self) -> Iterator[None]:
        """Raises KeyboardInterrupt for a signal that comes in the context, or came before."""
        self._running = True
        try:
            if self._pending:
                self._pending = False
                raise KeyboardInterrupt
            yield
        finally:
            self._running = False


class StandardOutput:
    """Keeps the way to the log open, since code may close or replace its own.

    The kernel writes to both streams as well, and without them it would give no answer any more.
    """

    def __init__(self) -> None:
        self._kept = os.dup(1)
        self._streams = {1: sys.stdout, 2: sys.stderr}

    def restore(self) -> None:
        """Makes both streams what they were."""
        for descriptor, stream in self._streams.items():
            if not _is_same(descriptor, self._kept):
                os.dup2(self._kept, descriptor)
            if stream.closed:
                self._streams[descriptor] = _writing_to(descriptor)
        sys.stdout, sys.stderr = self._streams[1], self._streams[2]


def _writing_to(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)


def _is_same(descriptor: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(descriptor, other)
    except OSError:  # it is closed
        return False


class Shell(ZMQInteractiveShell):
    """Runs cells; tracebacks go to the standard error output, in order with what was printed."""

    displayhook_class = ResultHook
    display_pub_class = ResultPublisher

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.results = ResultStore()
        self._interrupts = Interrupts()
        self._output = StandardOutput()
        self._begun = False
        self.failed_line = 0
        self.failed_text = ""
        super().__init__(*args, **kwargs)

    def init_ipython_dir(self, ipython_dir: str | None) -> None:
        """Takes the session's own directory, since IPython would make one in the user's home."""
        super().init_ipython_dir(ipython_dir or self.config.IPKernelApp.ipython_dir)

    def begin(self, result_directory: str) -> None:
        """Prepares for a cell."""
        self._begun = False
        self._interrupts.forget()
        signal.signal(signal.SIGINT, self._interrupts.handle)
        self.results.begin(result_directory)

    def end(self) -> None:
        """Tidies up after a cell."""
        self.results.end()
        self._output.restore()

    def init_display_formatter(self) -> None:
        """Puts our formatter in IPython's place."""
        self.display_formatter = ResultFormatter(parent=self)
        self.configurables.append(self.display_formatter)  # type: ignore[arg-type]

    async def run_code(self, *args: Any, **kwargs: Any) -> Any:
        """Runs a part of a cell, and before the first one tells that the cell begins."""
        if not self._begun:
            self._begun = True
            cast(ResultPublisher, self.display_pub).publish_begun()
        with self._interrupts.reaching():
            return await super().run_code(*args, **kwargs)

    def system(self, command: str) -> None:
        """Runs `!command` with our own output, and so in order with what was printed."""
        sys.stdout.flush()
        self.system_raw(command)

    def _showtraceback(self, etype: type, evalue: BaseException, stb: list[str]) -> None:
        self.failed_line = self._line_of(evalue)
        self.failed_text = evalue.msg if isinstance(evalue, SyntaxError) else str(evalue)
        self._last_traceback = stb
        self._output.restore()
        if not isinstance(evalue, SystemExit):
            sys.stdout.flush()
            print(self.InteractiveTB.stb2text(stb), file=sys.stderr, flush=True)

    def _line_of(self, error: BaseException) -> int:
        """The line of the running code that an error came from, 0 where it is not known."""
        if isinstance(error, SyntaxError) and self._is_cell(error.filename or ""):
            return error.lineno or 0
        frames = [
            (frame.f_code.co_filename, line)
            for frame, line in traceback.walk_tb(error.__traceback__)
        ]
        cell = next((name for name, _ in frames if self._is_cell(name)), None)
        lines = [line for name, line in frames if name == cell]
        return lines[-1] if lines else 0

    def _is_cell(self, file_name: str) -> bool:
        return self.compile.format_code_name(file_name) is not None


class Kernel(IPythonKernel):
    """Runs one request at a time, each with a result directory of its own."""

    shell_class = Shell

    def pre_handler_hook(self) -> None:
        """Leaves the handler of SIGINT alone."""

    def post_handler_hook(self) -> None:
        """Leaves the handler of SIGINT alone."""

    async def do_execute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Runs code, and tells in the reply which line raised."""
        shell = cast(Shell, self.shell)
        shell.begin(kwargs["cell_meta"][RESULT_DIRECTORY])
        try:
            reply: dict[str, Any] = await super().do_execute(*args, **kwargs)
        finally:
            shell.end()
        if reply["status"] == "error":
            reply |= {"evalue": shell.failed_text, LINE: shell.failed_line}
        return reply


class KernelApp(IPKernelApp):
    """A kernel whose prints are not turned into messages."""

    kernel_class = Kernel
    outstream_class = None  # type: ignore[assignment]


def _results(shell: object) -> ResultStore:
    return cast(Shell, shell).results


def _is_table(obj: object) -> bool:
    cls = type(obj)
    return hasattr(cls, "__arrow_c_stream__") and (
        hasattr(cls, "columns") or hasattr(cls, "schema")
    )


def _rows(table: Any) -> pa.RecordBatchReader:
    import pyarrow as pa

    if type(table).__module__.partition(".")[0] == "pandas":
        return _arrow_table(table).to_reader(_BATCH_ROWS)
    return pa.RecordBatchReader.from_stream(table)


def _arrow_table(frame: Any) -> pa.Table:
    import pyarrow as pa

    try:
        table = pa.Table.from_pandas(frame)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of values of several types
        frame = frame.copy(deep=False)
        for name in frame.select_dtypes("object").columns:
            frame[name] = frame[name].map(str, na_action="ignore")
        table = pa.Table.from_pandas(frame)
    return table.rename_columns([_column_name(name) for name in table.column_names])


def _column_name(name: str) -> str:
    """Names an index that has no name as pandas shows it."""
    level = name.removeprefix("__index_level_").removesuffix("__")
    if level == name:
        return name
    return "index" if level == "0" else f"index_{level}"


def _content(media_type: str, data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    text = str(data)
    if media_type in ("image/png", "image/jpeg"):
        return base64.b64decode(text)
    return text.encode(errors="backslashreplace")  # text may hold what UTF-8 can't


def _configuration(directory: Path) -> Config:
    config = Config()
    config.IPKernelApp.ipython_dir = str(directory)
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.cache_size = 0  # a value that was shown is not kept alive for that
    config.HistoryManager.enabled = False
    return config


def main() -> None:
    """Serves the connection file that the command line names."""
    connection_file = Path(sys.argv[1])
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    warnings.filterwarnings("ignore", message="To exit: use", category=UserWarning)
    own = connection_file.parent / "ipython"
    own.mkdir(exist_ok=True)
    given = set(os.environ) - {"JPY_PARENT_PID"}
    app = KernelApp.instance(config=_configuration(own))
    app.initialize(["-f", str(connection_file)])
    cast(Shell, app.shell).user_ns.update(exit=sys.exit, quit=sys.exit)  # not to end the session
    for name in set(os.environ) - given - {"MPLBACKEND"}:
        del os.environ[name]  # what concerns a terminal, or the kernel alone
    sys.path.insert(0, "")
    app.start()
