"""Workers whose threads meet where a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from entrance_runner.engine import Progress
from entrance_runner.errors import ErrorCode, RunFailed
from entrance_runner.worker_process import Task, Worker


def _is_control() -> bool:
    return threading.current_thread() is not threading.main_thread()


class Slow(Worker):
    """Ends its first run while the control thread looks how far that is.

    That look lasts until something is written to a pipe, which the code names.
    """

    def __init__(self) -> None:
        self._looked = threading.Event()
        self._pipe = ""

    def open(self, options: Mapping[str, str]) -> None:
        pass

    def run(self, task: Task) -> None:
        self._pipe = task.code
        self._looked.wait()

    def interrupt(self) -> None:
        pass

    def progress(self) -> Progress | None:
        if not _is_control():
            return Progress(1.0)
        if self._looked.is_set() or not self._pipe:
            return None
        self._looked.set()
        with open(self._pipe, encoding="utf-8") as pipe:
            pipe.read()
        return Progress(0.5)


class Lost(Worker):
    """Loses its engine as a run ends, and lets the control thread act before the end is told."""

    def __init__(self) -> None:
        self._ends = False
        self._acted = threading.Event()

    def open(self, options: Mapping[str, str]) -> None:
        pass

    def run(self, task: Task) -> None:
        pass

    def interrupt(self) -> None:
        pass

    def progress(self) -> Progress | None:
        if not _is_control():
            self._ends = True
            self._acted.wait()
        elif self._ends:
            self._acted.set()
        return None

    def check(self) -> bool:
        return not self._ends


class Held(Worker):
    """Tells whether the run was let go on when it was interrupted."""

    def __init__(self) -> None:
        self._interrupted = threading.Event()
        self._task: Task | None = None
        self._went_on = True

    def open(self, options: Mapping[str, str]) -> None:
        pass

    def run(self, task: Task) -> None:
        self._task = task
        task.wait_while_held()
        self._interrupted.wait()
        raise RunFailed(ErrorCode.CANCELLED, "went on" if self._went_on else "was held")

    def interrupt(self) -> None:
        if self._task and not self._interrupted.is_set():
            self._went_on = self._task._may_go_on.is_set()
            self._interrupted.set()

    def progress(self) -> Progress | None:
        return Progress(0.0) if self._task else None
