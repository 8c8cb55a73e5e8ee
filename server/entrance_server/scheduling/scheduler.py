"""Which job starts next: first in, first out by priority in a group, fair turns between groups."""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from entrance_server.domain import errors
from entrance_server.domain.job import GroupKey, GroupLimits
from entrance_server.scheduling.limits import LimitRules


@dataclass(frozen=True, slots=True)
class GroupLoad:
    """How many jobs of a group run and wait now, held ones and reserved places included."""

    running: int
    waiting: int
    limits: GroupLimits


class QueueFull(errors.Exhausted):
    """The group's queue has no place left."""

    reason = "QUEUE_FULL"

    def __init__(self, group: GroupKey, limits: GroupLimits) -> None:
        super().__init__(
            f"The queue of group {group} is full: {limits.waiting} jobs wait already. "
            "Submit again when some of them have ended, or kill some."
        )


_Order: TypeAlias = tuple[bool, int, int]


@dataclass(slots=True)
class _Entry:
    task_id: int
    group: GroupKey
    order: _Order  # (has no place, -priority, arrival): smaller starts first
    held: bool = False

    @property
    def has_place(self) -> bool:
        return not self.order[0]


@dataclass(slots=True)
class _Group:
    limits: GroupLimits
    queue: list[tuple[_Order, int]] = field(default_factory=list)  # heap, removed lazily
    waiting: int = 0
    running: int = 0
    reserved: int = 0
    is_closed: bool = False
    openings: int = 0

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
        self._running: dict[int, _Entry] = {}
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
            raise QueueFull(group, state.limits)
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
        has_place: bool = False,
    ) -> None:
        """Puts a job into its group's queue; a recovered job needs no reservation and no room.

        One that has a place among the group's running jobs already is the first, also while the
        group is closed, since no other gets that place.
        """
        if reserved:
            self._group(group).reserved -= 1
        order = (not has_place, -priority, next(self._arrivals))
        self._wait(_Entry(task_id, group, order, held))

    def put_back(self, task_id: int, *, held: bool) -> None:
        """Lets a job that `take` gave wait again, at its old place."""
        entry = self._running[task_id]
        entry.held = held
        self._wait(entry)
        self.done(task_id)

    def openings(self, group: GroupKey) -> int:
        """How often a group that has jobs here was opened, for `close`."""
        return self._groups[group].openings

    def close(self, group: GroupKey, *, since: int) -> None:
        """Lets no job of a group start: as many run on all servers together as may.

        Args:
            group: One that has jobs here.
            since: Its `openings` when that was asked. It is not closed if it was opened meanwhile.
        """
        state = self._groups[group]
        state.is_closed = state.openings == since

    def open(self, group: GroupKey | None = None) -> None:
        """Lets jobs of a group start again, or those of all groups."""
        for key in list(self._groups) if group is None else [group]:
            state = self._groups.get(key)
            if state is not None:
                state.openings += 1
                state.is_closed = False
                if state.queue:
                    self._turns.setdefault(key)

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
        self._run(_Entry(task_id, group, (False, 0, next(self._arrivals))))

    def done(self, task_id: int) -> None:
        """Frees the place of a running job; one that does not run here is no error."""
        entry = self._running.pop(task_id, None)
        if entry is None:
            return
        state = self._groups[entry.group]
        state.running -= 1
        if state.queue:
            self._turns.setdefault(entry.group)
        self._forget_if_idle(entry.group)

    def limits_of(self, group: GroupKey) -> GroupLimits:
        """How many jobs of a group may run and wait."""
        return self._limits.of(group)

    def loads(self) -> Mapping[GroupKey, GroupLoad]:
        """The groups that have jobs here."""
        return {group: state.load() for group, state in self._groups.items()}

    def _group(self, group: GroupKey) -> _Group:
        state = self._groups.get(group)
        if state is None:
            state = self._groups[group] = _Group(self._limits.of(group))
        return state

    def _wait(self, entry: _Entry) -> None:
        self._waiting[entry.task_id] = entry
        self._group(entry.group).waiting += 1
        if not entry.held:
            self._enqueue(entry)

    def _run(self, entry: _Entry) -> None:
        self._running[entry.task_id] = entry
        self._group(entry.group).running += 1

    def _enqueue(self, entry: _Entry) -> None:
        heapq.heappush(self._groups[entry.group].queue, (entry.order, entry.task_id))
        self._turns.setdefault(entry.group)

    def _take_from(self, group: GroupKey) -> int | None:
        state = self._groups.get(group)
        if state is None or state.running >= state.limits.running:
            return None
        entry = self._first(state)
        if entry is None or (state.is_closed and not entry.has_place):
            return None
        heapq.heappop(state.queue)
        del self._waiting[entry.task_id]
        state.waiting -= 1
        self._run(entry)
        return entry.task_id

    def _first(self, state: _Group) -> _Entry | None:
        """The first of a queue that may start."""
        while state.queue:
            order, task_id = state.queue[0]
            entry = self._waiting.get(task_id)
            if entry is not None and not entry.held and entry.order == order:
                return entry
            heapq.heappop(state.queue)
        return None

    def _forget_if_idle(self, group: GroupKey) -> None:
        if self._groups[group].is_idle:
            del self._groups[group]
            self._turns.pop(group, None)
