"""Python cells with a variable `spark`, in the worker of the Spark engine."""

# mypy: disallow-untyped-calls=false
# IPython has few types

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from pyspark.errors import PySparkException
from pyspark.sql.connect.dataframe import DataFrame
from traitlets.config import Config

from entrance_runner.engine import Level
from entrance_runner.engines.cells import Interrupts, described, line_of, text_of
from entrance_runner.engines.displays import ResultFormatter, ResultStore
from entrance_runner.engines.spark import DISPLAYED_ROWS
from entrance_runner.engines.spark_client import reason_of, rows_of
from entrance_runner.results import ResultDirectory, ResultFile
from entrance_runner.worker_process import Task

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession


class SparkResults(ResultStore):
    """Writes what a run displays; of a data frame on Spark so many rows as are wanted."""

    task: Task

    def write_table(self, directory: ResultDirectory, table: Any) -> ResultFile:
        """Writes a table; one on Spark is computed now."""
        if not isinstance(table, DataFrame):
            return super().write_table(directory, table)
        most = int(self.task.options.get("spark.displayed_rows", DISPLAYED_ROWS))
        rows = rows_of(table.limit(most))
        if rows is None:
            return directory.add_content("text/plain", repr(table).encode())
        result = directory.add_table(rows)
        if result.row_count == most:
            text = f"of a data frame {most} rows are shown; there may be more"
            self.task.message(Level.WARN, text)
        return result

    def show(self, bundle: Mapping[str, Any]) -> None:
        """Writes what is displayed, and reports it."""
        if result := self.write(bundle):
            self.task.tell_result(result)


class SparkFormatter(ResultFormatter):
    """Takes data frames on Spark for tables too."""

    def is_table(self, obj: object) -> bool:
        """Whether an object becomes a table."""
        return isinstance(obj, DataFrame) or super().is_table(obj)


class ResultPublisher(DisplayPublisher):
    """Keeps what `display` shows; changes of what was shown before are left out."""

    def publish(self, data: Any, *args: Any, update: bool = False, **kwargs: Any) -> None:
        """Writes an object."""
        if not update:
            _results(self.shell).show(data)


class ResultHook(DisplayHook):
    """Keeps the value of the last expression."""

    def write_output_prompt(self) -> None:
        """Prints nothing before it."""

    def write_format_data(self, format_dict: Mapping[str, Any], md_dict: Any = None) -> None:
        """Writes the value."""
        _results(self.shell).show(format_dict)

    def finish_displayhook(self) -> None:
        """Prints nothing behind it."""
        self._is_active = False


class SparkShell(InteractiveShell):
    """Runs cells; tracebacks go to the standard error output."""

    displayhook_class = ResultHook
    display_pub_class = ResultPublisher

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.results = SparkResults()
        self._interrupts = Interrupts()
        self._interrupted = False
        self._task: Task | None = None
        super().__init__(*args, **kwargs)

    @classmethod
    def started(cls, session: SparkSession) -> SparkShell:
        """A shell whose code has the session as `spark`."""
        config = Config()
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.cache_size = 0  # what was shown is not kept alive for that
        config.HistoryManager.enabled = False
        shell = cls.instance(config=config)
        shell.user_ns.update(spark=session, exit=sys.exit, quit=sys.exit)
        sys.path.insert(0, "")
        return shell

    def run(self, task: Task) -> BaseException | None:
        """Runs a cell; why it failed, or None."""
        self._interrupted = False
        self._interrupts.forget()
        self._task = self.results.task = task
        signal.signal(signal.SIGINT, self._interrupts.handle)
        self.results.begin(task.results)
        try:
            outcome = self.run_cell(task.code, store_history=False)
        finally:
            self.results.end()
            self._task = None
            sys.stdout.flush()
            sys.stderr.flush()
        error: BaseException | None = outcome.error_before_exec or outcome.error_in_exec
        if isinstance(error, SystemExit) and error.code in (None, 0, ""):
            return None
        return error

    def interrupt(self) -> None:
        """Raises KeyboardInterrupt in the cell that runs, once. Called from another thread."""
        if self._task is not None and not self._interrupted:
            self._interrupted = True
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)

    def described(self, error: BaseException) -> str:
        """An error of the last cell in one line, with the cell's line that it came from."""
        text = reason_of(error) if isinstance(error, PySparkException) else text_of(error)
        return described(type(error).__name__, text, line_of(error, self))

    def init_display_formatter(self) -> None:
        """Puts our formatter in IPython's place."""
        self.display_formatter = SparkFormatter(parent=self)
        self.configurables.append(self.display_formatter)  # type: ignore[arg-type]

    async def run_code(self, *args: Any, **kwargs: Any) -> Any:
        """Runs a part of a cell, unless the run is paused before it."""
        if self._task:
            self._task.wait_while_held()
        with self._interrupts.reaching():
            return await super().run_code(*args, **kwargs)

    def system(self, command: str) -> None:
        """Runs `!command` with our own output, and so in order with what was printed."""
        sys.stdout.flush()
        self.system_raw(command)

    def _showtraceback(self, etype: type, evalue: BaseException, stb: list[str]) -> None:
        if not isinstance(evalue, SystemExit):
            sys.stdout.flush()
            print(self.InteractiveTB.stb2text(stb), file=sys.stderr, flush=True)


def _results(shell: object) -> SparkResults:
    assert isinstance(shell, SparkShell)
    return shell.results
