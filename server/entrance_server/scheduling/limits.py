"""How many jobs of a group may run and wait: the first rule whose patterns fit says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from entrance_server.domain.job import GroupKey, GroupLimits


@dataclass(frozen=True, slots=True)
class GroupRule:
    """Limits of the groups that fit three patterns, with `*`, `?` and `[…]` as in a shell.

    A limit that is None leaves the default.
    """

    user: str = "*"
    """Whose jobs."""
    creator: str = "*"
    """The application that they are submitted from."""
    engine_type: str = "*"
    """The engine."""
    running: int | None = None
    """Jobs of one group that run at once."""
    waiting: int | None = None
    """Jobs of one group that wait at most."""

    def __post_init__(self) -> None:
        for name in ("running", "waiting"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise ValueError(f"{name} must be at least 1")

    def fits(self, group: GroupKey) -> bool:
        """Whether the rule is for a group."""
        return (
            fnmatchcase(group.user, self.user)
            and fnmatchcase(group.creator, self.creator)
            and fnmatchcase(group.engine_type, self.engine_type)
        )


class LimitRules:
    """The limits of every group: those of the first rule that fits, else the default."""

    def __init__(self, default: GroupLimits, rules: Sequence[GroupRule] = ()) -> None:
        self._default = default
        self._rules = tuple(rules)

    def of(self, group: GroupKey) -> GroupLimits:
        """The limits of a group."""
        rule = next((rule for rule in self._rules if rule.fits(group)), GroupRule())
        return GroupLimits(
            self._default.running if rule.running is None else rule.running,
            self._default.waiting if rule.waiting is None else rule.waiting,
        )
