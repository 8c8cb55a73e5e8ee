"""A job that counts until it is told to end, whose log shows at once whether a line is missing."""

from __future__ import annotations

from functools import cached_property

from entrance.client import JobStatus
from tests.support.jobs import ended, log_lines, new_creator, printed, said
from tests.support.service import Caller
from tests.support.waiting import until

ENGINES = ("shell", "python")
CODES = {
    "shell": "echo $$; n=0; until [ -e {go} ]; do n=$((n+1)); echo $n; sleep 0.02; done",
    "python": (
        "import os, time\nprint(os.getpid())\nn = 0\nwhile not os.path.exists('{go}'):\n"
        "    n += 1\n    print(n)\n    time.sleep(0.02)"
    ),
}


class CountingJob:
    """Such a job, at work when this is made."""

    def __init__(
        self, caller: Caller, engine: str = "shell", *, creator: str | None = None
    ) -> None:
        creator = creator or new_creator()
        self._go = caller.command.directory / f"{new_creator()}.go"
        code = CODES[engine].format(go=self._go)
        self.handle = caller.client.submit(code, engine=engine, creator=creator)
        said(self.handle, "5")

    @cached_property
    def pid(self) -> int:
        """The process that counts."""
        return int(printed(self.handle)[0])

    @property
    def numbers(self) -> list[str]:
        """What it has counted so far."""
        return printed(self.handle)[1:]

    def goes_on(self) -> None:
        """Waits until it has counted further."""
        enough = len(self.numbers) + 3
        until(lambda: len(self.numbers) >= enough, f"job {self.handle.task_id} counts on")

    def let_go(self) -> None:
        """Tells it to end."""
        self._go.touch()

    def finish(self) -> None:
        """Tells it to end and waits for that; fails unless every number and line is there once."""
        self.let_go()
        ended(self.handle, JobStatus.SUCCEED)
        assert self.numbers == [str(number) for number in range(1, len(self.numbers) + 1)]
        lines = [line.number for line in log_lines(self.handle)]
        assert lines == list(range(1, len(lines) + 1))
