"""Which job starts next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain.job import GroupKey
from entrance_server.scheduling import (
    GroupLimits,
    GroupLoad,
    GroupRule,
    LimitRules,
    QueueFull,
    Scheduler,
)

ALICE = GroupKey("alice", "IDE", "duckdb")
BOB = GroupKey("bob", "IDE", "duckdb")


def scheduler(
    *rules: GroupRule, running: int = 10, waiting: int = 10, max_running: int = 100
) -> Scheduler:
    limits = LimitRules(GroupLimits(running, waiting), rules)
    return Scheduler(limits=limits, max_running=max_running)


def load(queue: Scheduler, group: GroupKey) -> tuple[int, int]:
    """How many jobs of a group run and wait."""
    found = queue.loads().get(group)
    return (found.running, found.waiting) if found else (0, 0)


def drain(queue: Scheduler) -> list[int]:
    taken = []
    while (task_id := queue.take()) is not None:
        taken.append(task_id)
    return taken


def test_an_empty_queue_starts_nothing() -> None:
    assert scheduler().take() is None


def test_jobs_of_one_group_start_in_order_of_arrival() -> None:
    queue = scheduler()
    for task_id in (1, 2, 3):
        queue.add(task_id, ALICE)
    assert drain(queue) == [1, 2, 3]


def test_a_higher_priority_starts_first_and_equal_ones_keep_their_order() -> None:
    queue = scheduler()
    for task_id, priority in ((1, 0), (2, 5), (3, 5), (4, -1)):
        queue.add(task_id, ALICE, priority=priority)
    assert drain(queue) == [2, 3, 1, 4]


def test_groups_take_turns_however_many_jobs_one_of_them_has() -> None:
    queue = scheduler(running=10_000, waiting=10_000, max_running=10_000)
    for task_id in range(1, 1001):
        queue.add(task_id, ALICE)
    queue.add(2000, BOB)
    assert 2000 in [queue.take(), queue.take()]


def test_a_group_runs_no_more_than_its_limit() -> None:
    queue = scheduler(running=2)
    for task_id in (1, 2, 3):
        queue.add(task_id, ALICE)
    assert drain(queue) == [1, 2]
    queue.done(1)
    assert drain(queue) == [3]


def test_a_group_at_its_limit_does_not_keep_others_from_starting() -> None:
    queue = scheduler(running=1)
    for task_id in (1, 2):
        queue.add(task_id, ALICE)
    queue.add(3, BOB)
    assert drain(queue) == [1, 3]


def test_all_groups_together_run_no_more_than_the_limit_of_the_server() -> None:
    queue = scheduler(max_running=2)
    queue.add(1, ALICE)
    queue.add(2, BOB)
    queue.add(3, BOB)
    assert len(drain(queue)) == 2
    queue.done(1)
    assert drain(queue) == [3]


def test_a_group_with_a_rule_of_its_own_keeps_to_that() -> None:
    queue = scheduler(GroupRule(user="al*", running=1, waiting=1), running=2)
    for task_id, group in ((1, ALICE), (2, ALICE), (3, BOB), (4, BOB)):
        queue.add(task_id, group)
    assert sorted(drain(queue)) == [1, 3, 4]
    with pytest.raises(QueueFull, match="1 jobs wait already"):
        queue.reserve(ALICE)


def test_a_held_job_does_not_start_and_takes_its_old_place_when_released() -> None:
    queue = scheduler()
    queue.add(1, ALICE)
    queue.add(2, ALICE)
    assert queue.hold(1)
    assert queue.take() == 2
    queue.add(3, ALICE)
    assert queue.release(1)
    assert drain(queue) == [1, 3]


def test_a_job_that_is_held_and_released_starts_once() -> None:
    queue = scheduler()
    queue.add(1, ALICE)
    queue.hold(1)
    queue.release(1)
    assert drain(queue) == [1]


def test_a_recovered_job_can_arrive_held() -> None:
    queue = scheduler()
    queue.add(1, ALICE, held=True)
    assert queue.take() is None
    queue.release(1)
    assert queue.take() == 1


def test_a_removed_job_does_not_start() -> None:
    queue = scheduler()
    queue.add(1, ALICE)
    queue.add(2, ALICE)
    assert queue.remove(1)
    assert not queue.remove(1)
    assert drain(queue) == [2]


def test_a_full_queue_refuses_and_names_the_limit() -> None:
    queue = scheduler(waiting=2)
    queue.reserve(ALICE)
    queue.add(1, ALICE, reserved=True)
    queue.reserve(ALICE)
    with pytest.raises(QueueFull, match="2 jobs wait already"):
        queue.reserve(ALICE)
    queue.reserve(BOB)


def test_a_reservation_given_back_makes_room() -> None:
    queue = scheduler(waiting=1)
    queue.reserve(ALICE)
    queue.cancel_reservation(ALICE)
    queue.reserve(ALICE)
    assert load(queue, ALICE) == (0, 1)


def test_a_job_found_running_after_a_restart_counts() -> None:
    queue = scheduler(running=1)
    queue.run(1, ALICE)
    queue.add(2, ALICE)
    assert queue.take() is None
    queue.done(1)
    assert queue.take() == 2


def test_the_end_of_a_job_that_does_not_run_here_changes_nothing() -> None:
    queue = scheduler()
    queue.done(7)
    assert load(queue, ALICE) == (0, 0)


def test_only_groups_with_jobs_are_told_with_what_they_have_and_may_have() -> None:
    queue = scheduler(GroupRule(creator="IDE", waiting=3), running=1)
    assert queue.loads() == {}
    queue.add(1, ALICE)
    queue.add(2, ALICE)
    queue.take()
    queue.reserve(BOB)
    assert queue.loads() == {
        ALICE: GroupLoad(running=1, waiting=1, limits=GroupLimits(1, 3)),
        BOB: GroupLoad(running=0, waiting=1, limits=GroupLimits(1, 3)),
    }
    queue.cancel_reservation(BOB)
    queue.remove(2)
    queue.done(1)
    assert queue.loads() == {}


def test_a_job_that_was_put_back_starts_before_those_that_came_later() -> None:
    queue = scheduler()
    queue.add(1, ALICE)
    queue.add(2, ALICE)
    assert queue.take() == 1
    queue.put_back(1, held=False)
    assert load(queue, ALICE) == (0, 2)
    assert drain(queue) == [1, 2]


def test_a_job_that_was_put_back_while_it_was_paused_is_held() -> None:
    queue = scheduler()
    queue.add(1, ALICE)
    queue.take()
    queue.put_back(1, held=True)
    assert queue.take() is None
    queue.release(1)
    assert queue.take() == 1


@pytest.mark.parametrize("opened", [ALICE, None])
def test_a_closed_group_starts_nothing_until_it_is_opened(opened: GroupKey | None) -> None:
    queue = scheduler()
    for task_id, group in ((1, ALICE), (2, BOB), (3, ALICE)):
        queue.add(task_id, group)
    queue.close(ALICE, since=queue.openings(ALICE))
    assert drain(queue) == [2]
    queue.open(BOB)
    assert queue.take() is None
    queue.open(opened)
    assert drain(queue) == [1, 3]


def test_a_group_that_was_opened_meanwhile_is_not_closed() -> None:
    queue = scheduler()
    queue.add(1, ALICE)
    seen = queue.openings(ALICE)
    queue.open(ALICE)
    queue.close(ALICE, since=seen)
    assert queue.take() == 1


def test_a_job_that_has_a_place_already_starts_first_though_its_group_is_closed() -> None:
    queue = scheduler()
    queue.add(1, ALICE, priority=9)
    queue.close(ALICE, since=queue.openings(ALICE))
    queue.add(2, ALICE, has_place=True)
    assert drain(queue) == [2]
    queue.open(ALICE)
    assert drain(queue) == [1]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "take", "hold", "release", "remove", "done"]), st.integers(0, 9)
        ),
        max_size=60,
    )
)
def test_whatever_happens_each_job_starts_at_most_once_and_limits_hold(
    steps: list[tuple[str, int]],
) -> None:
    queue = scheduler(running=2, max_running=3)
    groups = {task_id: (ALICE if task_id % 2 else BOB) for task_id in range(10)}
    added: set[int] = set()
    started: list[int] = []
    running: set[int] = set()
    for step, task_id in steps:
        match step:
            case "add" if task_id not in added:
                queue.add(task_id, groups[task_id], priority=task_id)
                added.add(task_id)
            case "take":
                taken = queue.take()
                if taken is not None:
                    started.append(taken)
                    running.add(taken)
            case "hold":
                queue.hold(task_id)
            case "release":
                queue.release(task_id)
            case "remove":
                queue.remove(task_id)
            case "done":
                queue.done(task_id)
                running.discard(task_id)
        assert len(running) <= 3
        for group in (ALICE, BOB):
            mine = sum(groups[one] == group for one in running)
            assert mine == load(queue, group)[0] <= 2
    assert len(started) == len(set(started))
