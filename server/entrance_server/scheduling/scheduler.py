"""Which job starts next: first in, first out by priority in a group, fair turns between groups."""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from entrance_server.domain import errors
from entrance_server.domain.job import GroupKey
from entrance_server.scheduling.limits import GroupLimits, LimitRules


@dataclass(frozen=True, slots=True)
class GroupLoad:
    """How many jobs of a group run and wait now, held ones and reserved places included."""

    running: int
    waiting: int
    limits: GroupLimits


class QueueFull(errors.Exhausted):
    """The group's queue has no place left."""

    reason = "QUEUE_FULL"


@dataclass(slots=True)
class _Entry:
    task_id: int
    group: GroupKey
    order: tuple[int, int]  # (-priority, arrival): smaller starts first
    held: bool = False


@dataclass(slots=True)
class _Group:
    limits: GroupLimits
    queue: list[tuple[tuple[int, int], int]] = field(default_factory=list)  # heap, removed lazily
    waiting: int = 0
    running: int = 0
    reserved: int = 0

    @property
    def is_idle(self) -> bool:
        return not (self.waiting or self.running or self.reserved)

    def load(self) -> GroupLoad:
        return GroupLoad(self.running, self.waiting + self.reserved, self.limits)


class Scheduler:
    """The waiting jobs of this server, and the places that running ones take.

    Not thread-safe: it belongs to the event loop that calls it.
    """

    def __init__(self, *, limits: LimitRules, max_running: int) -> None:
        self._limits = limits
        self._max_running = max_running
        self._groups: dict[GroupKey, _Group] = {}
        self._waiting: dict[int, _Entry] = {}
        self._running: dict[int, GroupKey] = {}
        self._turns: OrderedDict[GroupKey, None] = (
            OrderedDict()
        )  # groups that may have a job to start
        self._arrivals = itertools.count()

    def reserve(self, group: GroupKey) -> None:
        """Takes a place in a group's queue, before the job is made durable.

        `add(reserved=True)` uses the place, `cancel_reservation` gives it back.

        Raises:
            QueueFull: the group's queue is full.
        """
        state = self._group(group)
        if state.waiting + state.reserved >= state.limits.waiting:
            self._forget_if_idle(group)
            raise QueueFull(
                f"The queue of group {group} is full: {state.limits.waiting} jobs wait already. "
                "Submit again when some of them have ended, or kill some."
            )
        state.reserved += 1

    def cancel_reservation(self, group: GroupKey) -> None:
        """Gives a reserved place back."""
        self._groups[group].reserved -= 1
        self._forget_if_idle(group)

    def add(
        self,
        task_id: int,
        group: GroupKey,
        *,
        priority: int = 0,
        held: bool = False,
        reserved: bool = False,
    ) -> None:
        """Puts a job into its group's queue; a recovered job needs no reservation and no room."""
        state = self._group(group)
        if reserved:
            state.reserved -= 1
        entry = _Entry(task_id, group, (-priority, next(self._arrivals)), held)
        self._waiting[task_id] = entry
        state.waiting += 1
        if not held:
            self._enqueue(entry)

    def hold(self, task_id: int) -> bool:
        """Keeps a waiting job from starting; False when it does not wait here."""
        entry = self._waiting.get(task_id)
        if entry is None:
            return False
        entry.held = True
        return True

    def release(self, task_id: int) -> bool:
        """Lets a held job start again, at its old place; False when it does not wait here."""
        entry = self._waiting.get(task_id)
        if entry is None:
            return False
        if entry.held:
            entry.held = False
            self._enqueue(entry)
        return True

    def remove(self, task_id: int) -> bool:
        """Takes a waiting job out of its queue; False when it does not wait here."""
        entry = self._waiting.pop(task_id, None)
        if entry is None:
            return False
        self._groups[entry.group].waiting -= 1
        self._forget_if_idle(entry.group)
        return True

    def take(self) -> int | None:
        """The job that starts now, counted as running from here on; None when none may start."""
        if len(self._running) >= self._max_running:
            return None
        for _ in range(len(self._turns)):
            group, _ = self._turns.popitem(last=False)
            task_id = self._take_from(group)
            if task_id is not None:
                self._turns[group] = None
                return task_id
        return None

    def run(self, task_id: int, group: GroupKey) -> None:
        """Counts a job that runs already, such as one found again after a restart."""
        self._running[task_id] = group
        self._group(group).running += 1

    def done(self, task_id: int) -> None:
        """Frees the place of a running job; one that does not run here is no error."""
        group = self._running.pop(task_id, None)
        if group is None:
            return
        state = self._groups[group]
        state.running -= 1
        if state.queue:
            self._turns.setdefault(group)
        self._forget_if_idle(group)

    def loads(self) -> Mapping[GroupKey, GroupLoad]:
        """The groups that have jobs here."""
        return {group: state.load() for group, state in self._groups.items()}

    def _group(self, group: GroupKey) -> _Group:
        state = self._groups.get(group)
        if state is None:
            state = self._groups[group] = _Group(self._limits.of(group))
        return state

    def _enqueue(self, entry: _Entry) -> None:
        heapq.heappush(self._groups[entry.group].queue, (entry.order, entry.task_id))
        self._turns.setdefault(entry.group)

    def _take_from(self, group: GroupKey) -> int | None:
        state = self._groups.get(group)
        if state is None or state.running >= state.limits.running:
            return None
        while state.queue:
            order, task_id = heapq.heappop(state.queue)
            entry = self._waiting.get(task_id)
            if entry is None or entry.held or entry.order != order:
                continue
            del self._waiting[task_id]
            state.waiting -= 1
            self.run(task_id, group)
            return task_id
        return None

    def _forget_if_idle(self, group: GroupKey) -> None:
        if self._groups[group].is_idle:
            del self._groups[group]
            self._turns.pop(group, None)
