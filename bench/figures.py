"""What a benchmark gives: rounds of ours and of the reference, and the ratio between them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Series:
    """The same measurement, several times."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half of the distance between the extremes, as a part of the median."""
        return (max(self.values) - min(self.values)) / 2 / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached: a ratio of at least or at most, or at most so much more.

    Nothing set means that the figure is only reported.
    """

    at_least: float | None = None
    at_most: float | None = None
    at_most_more: float | None = None  # in the figure's unit

    def is_met(self, ours: float, reference: float) -> bool | None:
        """Whether the figures reach it; None where nothing was asked."""
        if self.at_least is not None:
            return ours >= self.at_least * reference
        if self.at_most is not None:
            return ours <= self.at_most * reference
        if self.at_most_more is not None:
            return ours - reference <= self.at_most_more
        return None

    def text(self, unit: str) -> str:
        """What is asked, in words."""
        if self.at_least is not None:
            return f"≥ {self.at_least:.3g}"
        if self.at_most is not None:
            return f"≤ {self.at_most:.3g}"
        if self.at_most_more is not None:
            return f"+ {self.at_most_more:g} {unit}"
        return "reported"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    unit: str
    ours: Series
    reference_name: str
    reference: Series
    target: Target
    remarks: Sequence[str] = field(default_factory=tuple)

    @property
    def ratio(self) -> float:
        """Ours by the reference's: medians of the same run."""
        return self.ours.median / self.reference.median

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        return self.target.is_met(self.ours.median, self.reference.median)

    @property
    def comparison(self) -> str:
        """The ratio, or how much more it is where that is what was asked for."""
        if self.target.at_most_more is None:
            return f"{self.ratio:.2g}" if self.ratio < 0.1 else f"{self.ratio:.2f}"
        return f"{self.ours.median - self.reference.median:+.3g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that could not be measured."""

    row: str
    why: str


def bound(what: str, unit: str, ours: Series, most: float) -> Figure:
    """A figure that has a bound instead of a reference."""
    return Figure(
        what=what,
        unit=unit,
        ours=ours,
        reference_name="bound",
        reference=Series([most]),
        target=Target(at_most=1),
    )
