"""How far Spark is: stages with their tasks, as its answers tell them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from entrance_runner.engine import Part

MAX_STAGES = 500  # of a run, the newest


class Stage(Protocol):
    """A stage as Spark's client gives it."""

    stage_id: int
    num_tasks: int
    num_completed_tasks: int
    done: bool


class Stages:
    """The stages of a run. Written by the threads that ask Spark, read by another one."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._tasks = self._succeeded = 0
        self.running_tasks = 0

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every stage that was told of, in order."""
        return tuple(self._parts.values())

    @property
    def fraction(self) -> float:
        """How far the newest operation is, from 0 to 1."""
        return self._succeeded / self._tasks if self._tasks else 0.0

    def report(self, stages: Iterable[Stage], running_tasks: int) -> None:
        """Takes what is told of one operation, all of whose stages are in it."""
        found = [_part(stage) for stage in stages]
        left = running_tasks
        for index, part in enumerate(found):
            running = min(left, part.total - part.succeeded)
            found[index] = replace(part, running=running)
            left -= running
        self._tasks = sum(part.total for part in found)
        self._succeeded = sum(part.succeeded for part in found)
        self.running_tasks = running_tasks
        parts = self._parts | {part.id: part for part in found}
        self._parts = dict(list(parts.items())[-MAX_STAGES:])

    def settle(self, *, succeeded: bool) -> None:
        """Notes that nothing runs any more; what did not run by then was not needed."""
        self.running_tasks = self._tasks = self._succeeded = 0
        self._parts = {name: _settled(part, succeeded) for name, part in self._parts.items()}


def _part(stage: Stage) -> Part:
    succeeded = min(stage.num_completed_tasks, stage.num_tasks)  # tasks are tried again
    return Part(f"stage-{stage.stage_id}", succeeded, total=stage.num_tasks)


def _settled(part: Part, succeeded: bool) -> Part:
    if succeeded:
        return replace(part, succeeded=part.total, running=0)
    return replace(part, failed=part.running, running=0)
