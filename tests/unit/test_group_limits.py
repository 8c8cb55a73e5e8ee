"""Which limits a group has."""

from __future__ import annotations

import pytest

from entrance_server.domain.job import GroupKey
from entrance_server.scheduling import GroupLimits, GroupRule, LimitRules

DEFAULT = GroupLimits(running=30, waiting=1000)
ALICE = GroupKey("alice", "IDE", "duckdb")


def test_without_rules_every_group_has_the_default() -> None:
    assert LimitRules(DEFAULT).of(ALICE) == DEFAULT


@pytest.mark.parametrize(
    "rule",
    [
        GroupRule(user="alice", running=5),
        GroupRule(user="a*", running=5),
        GroupRule(creator="I?E", running=5),
        GroupRule(engine_type="[d-e]uckdb", running=5),
        GroupRule(user="alice", creator="IDE", engine_type="duckdb", running=5),
        GroupRule(running=5),
    ],
)
def test_a_rule_fits_by_user_creator_and_engine_type(rule: GroupRule) -> None:
    assert LimitRules(DEFAULT, [rule]).of(ALICE) == GroupLimits(running=5, waiting=1000)


@pytest.mark.parametrize(
    "rule",
    [
        GroupRule(user="bob", running=5),
        GroupRule(user="Alice", running=5),
        GroupRule(user="alice", creator="BI", running=5),
        GroupRule(user="alice", engine_type="duck", running=5),
    ],
)
def test_every_pattern_of_a_rule_must_fit(rule: GroupRule) -> None:
    assert LimitRules(DEFAULT, [rule]).of(ALICE) == DEFAULT


def test_the_first_rule_that_fits_counts_and_leaves_the_default_where_it_says_nothing() -> None:
    rules = [GroupRule(user="alice", waiting=7), GroupRule(user="*", running=1, waiting=1)]
    assert LimitRules(DEFAULT, rules).of(ALICE) == GroupLimits(running=30, waiting=7)
