"""Spark inside its worker process: SQL statement by statement, and Python with `spark`."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from pyspark.errors import PySparkException

from entrance_runner.engine import Application, InvalidOption, Level, Progress
from entrance_runner.engines import spark_client
from entrance_runner.engines.spark_progress import Stage, Stages
from entrance_runner.errors import ErrorCode, RunFailed
from entrance_runner.parameters import size_of
from entrance_runner.sql_text import statements_of
from entrance_runner.statements import StatementFailed, Statements, StatementWorker, counted
from entrance_runner.worker_process import Task

if TYPE_CHECKING:
    from pyspark.sql.connect.proto import ExecutePlanRequest
    from pyspark.sql.connect.session import SparkSession
    from pyspark.sql.connect.shell.progress import ProgressHandler

    from entrance_runner.engines.spark_shell import SparkShell

CHECK_INTERVAL = 5.0  # seconds between looks whether Spark still has the session
CHECK_TIMEOUT = 30.0  # seconds
COMPOUND = "BEGIN"  # the first word of a statement that has semicolons of its own


class SparkWorker(StatementWorker[str]):
    """One session on Spark, which keeps its temporary views from run to run."""

    _session: SparkSession

    def __init__(self) -> None:
        super().__init__()
        self._usable = True
        self._task: Task | None = None
        self._tag = ""
        self._runs = 0
        self._stages = Stages()
        self._application: Application | None = None
        self._shell: SparkShell | None = None
        self._call = BackgroundCall()

    @property
    def usable(self) -> bool:
        """Whether Spark still has the session."""
        return self._usable

    def open(self, options: Mapping[str, str]) -> None:
        """Opens the session, with the settings of SQL that the options give."""
        session = spark_client.open_session(
            options["url"],
            token=options["password"],
            user=options["user"],
            session_id=options["session"],
            on_request=self._before_request,
        )
        for name, text in options.items():
            if name.startswith("spark.sql."):
                try:
                    session.conf.set(name, text)
                except PySparkException as error:
                    reason = spark_client.reason_of(error)
                    raise InvalidOption(f"Spark refuses the setting {name}: {reason}") from None
        session.registerProgressHandler(cast("ProgressHandler", self._progressed))
        self._application = _application(session)
        self._session = session

    def run(self, task: Task) -> None:
        """Runs SQL or Python."""
        self._runs += 1
        self._tag = f"entrance-run-{self._runs}"
        self._stages = Stages()
        self._task = task
        succeeded = False
        try:
            if task.run_type == "sql":
                super().run(task)
            else:
                self._run_python(task)
            succeeded = True
        finally:
            self._task = None
            self._stages.settle(succeeded=succeeded)

    def interrupt(self) -> None:
        """Lets Spark end what runs, and Python code too."""
        super().interrupt()
        tag = self._tag  # the call may begin when another run has
        self._call.start(lambda: self._session.interruptTag(tag))
        if self._shell:
            self._shell.interrupt()

    def progress(self) -> Progress | None:
        """The statements, if it is SQL, and the stages of all of them."""
        statements = super().progress()
        stages = self._stages.parts
        if statements is None:
            return Progress(self._stages.fraction, stages) if stages else None
        return Progress(statements.fraction, statements.parts + stages)

    def fraction(self) -> float:
        """How many of the running statement's tasks have ended."""
        return self._stages.fraction

    def applications(self) -> Sequence[Application]:
        """The application, with as many cores as tasks of the run are busy."""
        if self._application is None:
            return ()
        return (dataclasses.replace(self._application, cores=self._stages.running_tasks),)

    def check(self) -> bool:
        """Whether Spark still has the session, as far as it is known."""
        if self._application is None or self._task is not None:
            return True
        error = self._call.error
        if error is not None and spark_client.is_lost(error):
            return False
        if self._call.is_due(CHECK_INTERVAL):
            self._call.start(lambda: self._session.conf.get("spark.app.id", ""))
        return self._call.runs_for() < CHECK_TIMEOUT

    def split(self, code: str) -> Sequence[str]:
        """The statements; a compound one goes to the end of the code."""
        found = statements_of(code, "spark")
        texts: list[str] = []
        position = 0
        for one in found:
            start = code.index(one.text, position)
            if one.first_word == COMPOUND:
                return [*texts, code[start:].strip()]
            texts.append(one.text)
            position = start + len(one.text)
        return texts

    def text(self, statement: str) -> str:
        """A statement as it was written."""
        return statement

    def execute(self, task: Task, index: int, statement: str) -> str:
        """Runs a statement; its rows go into a result set as Spark sends them."""
        with self._failing(task):
            rows = spark_client.rows_of(self._session.sql(statement))
            result = task.results.add_table(rows, statement=index) if rows else None
        self._stages.settle(succeeded=True)
        if result is None:
            return "done"
        task.tell_result(result)
        return counted(result.row_count)

    def _run_python(self, task: Task) -> None:
        from entrance_runner.engines.spark_shell import SparkShell

        self._statements = Statements(0)
        self.interrupted = False
        if self._shell is None:
            self._shell = SparkShell.started(self._session)
        if error := self._shell.run(task):
            if spark_client.is_lost(error):
                raise self._lost(error)
            raise RunFailed(ErrorCode.PYTHON_EXCEPTION, self._shell.described(error))

    @contextlib.contextmanager
    def _failing(self, task: Task) -> Iterator[None]:
        try:
            yield
        except PySparkException as error:
            if spark_client.is_lost(error):
                raise self._lost(error) from None
            if stack := spark_client.stack_of(error):
                task.message(Level.INFO, f"Spark's own stack:\n{stack}")
            raise StatementFailed(spark_client.reason_of(error)) from None

    def _lost(self, error: BaseException) -> RunFailed:
        self._usable = False
        return RunFailed(ErrorCode.ENGINE_DIED, f"Spark is lost: {spark_client.reason_of(error)}")

    def _before_request(self, request: ExecutePlanRequest) -> None:
        if self._task is None:
            return
        if threading.current_thread() is threading.main_thread():
            self._task.wait_while_held()
        request.tags.append(self._tag)

    def _progressed(
        self, stages: Iterable[Stage] | None, inflight_tasks: int, operation_id: Any, done: bool
    ) -> None:
        if stages and not done:
            self._stages.report(stages, inflight_tasks)


class BackgroundCall:
    """One call at a time in a thread, which may take for ever."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._begin = time.monotonic()

    def is_due(self, interval: float) -> bool:
        """Whether none goes on, and so much time has passed since the last one began."""
        return not self._goes_on() and time.monotonic() - self._begin >= interval

    def runs_for(self) -> float:
        """How long one goes on, in seconds; 0 where none does."""
        return time.monotonic() - self._begin if self._goes_on() else 0.0

    def start(self, call: Callable[[], object]) -> None:
        """Begins a call, unless one goes on."""
        if self._goes_on():
            return
        self._begin, self.error = time.monotonic(), None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _goes_on(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # whoever asks gets it
            self.error = error


def _application(session: SparkSession) -> Application:
    def told(name: str, default: str) -> str:
        return session.conf.get(name, default) or default

    is_local = told("spark.master", "").startswith("local")
    memory = told("spark.driver.memory" if is_local else "spark.executor.memory", "1g")
    instances = 1 if is_local else int(told("spark.executor.instances", "0"))
    try:
        size = size_of(memory)
    except ValueError:
        size = 0
    return Application(
        id=told("spark.app.id", session.session_id),
        queue=told("spark.yarn.queue", told("spark.scheduler.pool", "default")),
        memory_bytes=size * max(instances, 1),
        cores=0.0,
        instances=instances,
    )
