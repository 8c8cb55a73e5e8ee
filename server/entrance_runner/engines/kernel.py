"""The inside of the Python engine's kernel: what code displays becomes result files.

Run by the engine in a process of its own. Prints go straight to the process's standard output, and
of a displayed object only a note about its file is sent, so that nothing piles up in a queue of
messages, however much a run shows.
"""

# mypy: disallow-untyped-calls=false
# ipykernel and IPython have few types

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from ipykernel.displayhook import ZMQShellDisplayHook
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell
from traitlets.config import Config

from entrance_runner.engines.cells import Interrupts, line_of, text_of
from entrance_runner.engines.displays import ResultFormatter, ResultStore
from entrance_runner.engines.kernel_messages import BEGUN, LINE, RESULT_DIRECTORY
from entrance_runner.results import ResultDirectory

if TYPE_CHECKING:
    pass

_TABLE = "application/vnd.entrance.table"  # the object itself; never leaves the kernel
_BATCH_ROWS = 16 * 1024


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

    def begin(self, results: ResultDirectory) -> None:
        """Prepares for a cell."""
        self._begun = False
        self._interrupts.forget()
        signal.signal(signal.SIGINT, self._interrupts.handle)
        self.results.begin(results)

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
        self.failed_line = line_of(evalue, self)
        self.failed_text = text_of(evalue)
        self._last_traceback = stb
        self._output.restore()
        if not isinstance(evalue, SystemExit):
            sys.stdout.flush()
            print(self.InteractiveTB.stb2text(stb), file=sys.stderr, flush=True)


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
        shell.begin(ResultDirectory(Path(kwargs["cell_meta"][RESULT_DIRECTORY])))
        try:
            reply: dict[str, Any] = await super().do_execute(*args, **kwargs)
        finally:
            shell.end()
        if reply["status"] == "error":
            # the traceback stands in the log, and may be text that can't be sent
            reply |= {"evalue": shell.failed_text, LINE: shell.failed_line, "traceback": []}
        return reply


class KernelApp(IPKernelApp):
    """A kernel whose prints are not turned into messages."""

    kernel_class = Kernel
    outstream_class = None  # type: ignore[assignment]


def _results(shell: object) -> ResultStore:
    return cast(Shell, shell).results


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
