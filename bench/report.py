"""The table and the plot in docs/performance.md, between two markers."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure as Plot

from bench.figures import Figure, Series

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
PAGE = "performance.md"
PLOT = "performance.svg"


def line(figure: Figure) -> str:
    """One figure in a line."""
    ours, reference = _shown(figure.ours), _shown(figure.reference)
    target = figure.target.text(figure.unit)
    return (
        f"{figure.what}: {ours} {figure.unit}, {figure.reference_name}: {reference}, "
        f"ratio {figure.ratio:.2f} ({target}){_mark(figure)}"
    )


def write(figures: Sequence[Figure], docs: Path) -> None:
    """Puts the figures of one run into the page."""
    page = docs / PAGE
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    _plot(figures, docs / PLOT)
    page.write_text(f"{before}{BEGIN}\n{_table(figures)}\n{END}{after}")


def _table(figures: Sequence[Figure]) -> str:
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, all processes on them"
    rows = [
        f"One run on {machine}; medians, ± half of the distance between the extremes.",
        "",
        f"![Ratios]({PLOT})",
        "",
        "| what | ours | reference | ratio | asked |",
        "|---|---|---|---|---|",
    ]
    for figure in figures:
        ours, reference = _shown(figure.ours), _shown(figure.reference)
        rows.append(
            f"| {figure.what} | {ours} {figure.unit} | {figure.reference_name}: {reference} "
            f"{figure.unit} | {figure.ratio:.2f} | {figure.target.text(figure.unit)}"
            f"{_mark(figure)} |"
        )
    remarks = [f"- {one.what}: {remark}" for one in figures for remark in one.remarks]
    return "\n".join([*rows, "", *remarks])


def _plot(figures: Sequence[Figure], file: Path) -> None:
    plot = Plot(figsize=(9, 0.4 * len(figures) + 1), layout="constrained")
    axes = plot.subplots()
    names = [figure.what for figure in figures]
    colours = [{True: "#2a9d8f", False: "#e76f51", None: "#8d99ae"}[one.is_met] for one in figures]
    axes.barh(names, [figure.ratio for figure in figures], color=colours)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("ours / reference (green: target reached, red: not, grey: only reported)")
    axes.invert_yaxis()
    plot.savefig(file)


def _shown(series: Series) -> str:
    return f"{series.median:,.4g} ± {series.spread:.0%}"


def _mark(figure: Figure) -> str:
    return {True: " ✓", False: " ✗", None: ""}[figure.is_met]
