"""The table and the plot in docs/performance.md, between two markers."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from matplotlib.figure import Figure as Plot

from bench.figures import Failure, Figure, Series

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
PAGE = "performance.md"
PLOT = "performance.svg"
COLOURS = {True: "#2a9d8f", False: "#e76f51", None: "#8d99ae"}
MARKS = {True: " ✓", False: " ✗", None: ""}


def line(outcome: Figure | Failure) -> str:
    """One outcome in a line, and its remarks below."""
    if isinstance(outcome, Failure):
        return f"{outcome.row}: failed: {outcome.why}"
    said = (
        f"{outcome.what}: {_shown(outcome.ours)} {outcome.unit}, {outcome.reference_name}: "
        f"{_shown(outcome.reference)}, {outcome.comparison} "
        f"({outcome.target.text(outcome.unit)}){MARKS[outcome.is_met]}"
    )
    return "\n  ".join([said, *outcome.remarks])


def write(outcomes: Sequence[Figure | Failure], took: timedelta, docs: Path) -> None:
    """Puts the outcomes of one run into the page."""
    page = docs / PAGE
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    figures = [one for one in outcomes if isinstance(one, Figure)]
    _plot(figures, docs / PLOT)
    page.write_text(f"{before}{BEGIN}\n{_text(outcomes, figures, took)}\n{END}{after}")


def _text(outcomes: Sequence[Figure | Failure], figures: Sequence[Figure], took: timedelta) -> str:
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, all processes on them"
    return "\n".join(
        [
            f"One run of {took.total_seconds() / 60:.0f} minutes on {machine}; medians, ± half of "
            "the distance between the extremes of the rounds.",
            "",
            f"![Ratios]({PLOT})",
            "",
            "| what | ours | reference | ratio | asked |",
            "|---|---|---|---|---|",
            *(_row(outcome) for outcome in outcomes),
            "",
            *(f"- {one.what}: {remark}" for one in figures for remark in one.remarks),
        ]
    )


def _row(outcome: Figure | Failure) -> str:
    if isinstance(outcome, Failure):
        return f"| `{outcome.row}` | failed: {outcome.why} | | | ✗ |"
    unit = outcome.unit
    return (
        f"| {outcome.what} | {_shown(outcome.ours)} {unit} | {outcome.reference_name}: "
        f"{_shown(outcome.reference)} {unit} | {outcome.comparison} | {outcome.target.text(unit)}"
        f"{MARKS[outcome.is_met]} |"
    )


def _plot(figures: Sequence[Figure], file: Path) -> None:
    plot = Plot(figsize=(11, 0.3 * len(figures) + 1), layout="constrained")
    axes = plot.subplots()
    places = range(len(figures))
    colours = [COLOURS[figure.is_met] for figure in figures]
    axes.barh(places, [figure.ratio for figure in figures], color=colours)
    axes.set_yticks(places, [f"{one.what} / {one.reference_name}" for one in figures], fontsize=7)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("ours / reference (green: target reached, red: not, grey: only reported)")
    axes.invert_yaxis()
    plot.savefig(file)


def _shown(series: Series) -> str:
    if len(series.values) == 1:
        return f"{series.median:,.4g}"
    return f"{series.median:,.4g} ± {series.spread:.0%}"
