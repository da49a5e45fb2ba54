"""Chips that learnt, were left alone, and learnt on: a figure, a table and a sentence for any kind of study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.report.style import INK, colours, label, new_figure, styled, whiskers
from neurosim.report.text import around, duration, spread
from neurosim.report.verdict import with_ends

MOMENTS = {
    "learnt": "after learning",
    "aged": "after that time",
    "learnt_on": "learnt on",
}
GAP = 0.16
"""Width of the time alone in the figure, as a share of the images before it."""
Entries = Sequence[Mapping[str, Any]]
CAPTION = (
    "Lines: accuracy as it was followed while the chips learnt, before and after they were left alone; thick: mean, thin: "
    "each chip. Marks: accuracy on the images reported on, with 95 % intervals, at the end of learning, after the time "
    "alone, and after as many images again. Readouts are fitted anew at each mark, converters are not: a readout that is "
    "never touched again would show more of the drift."
)


def aged_table(results: Mapping[str, Any]) -> Table | None:
    """Return accuracy at each moment and how many chips stay good; None where nothing was left alone."""
    entries: Entries = results.get("aged") or ()
    if not entries:
        return None
    table = Table(
        title=Text(f"Left alone for {duration(entries[0]['seconds'])}, then learnt on"),
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("arm", overflow="fold")
    table.add_column("seeds", justify="right")
    for heading in MOMENTS.values():
        table.add_column(f"{heading}, %", justify="right")
    table.add_column("chips that stay within a point", overflow="fold")
    for entry in entries:
        cells = [spread(entry[f"{moment}_mean"], around(entry, moment)) for moment in MOMENTS]
        table.add_row(
            Text(entry["arm"]), str(entry["seeds"]), *cells,
            Text(entry["yield"]["verdict"] if entry["yield"]["chips"] > 1 else "one chip tells nothing of others"),
        )  # fmt: skip
    return table


def aged_sentence(entries: Entries, arm: str) -> str:
    """Return what became of an arm, on a line of its own; nothing where it was not left alone."""
    entry = next((each for each in entries if each["arm"] == arm), None)
    if entry is None:
        return ""
    aged, on = (
        with_ends(entry[f"{moment}_mean"], around(entry, moment), "%") for moment in ("aged", "learnt_on")
    )
    of_others = (
        f" {entry['yield']['verdict'][:-1]}, a point below what it had."
        if entry["yield"]["chips"] > 1
        else ""
    )
    return f"\nLeft alone for {duration(entry['seconds'])} it has {aged}, and {on} after it has learnt as much again.{of_others}"


@styled
def aged_curves(results: Mapping[str, Any]) -> Figure | None:
    """Accuracy while learning, after the time alone, and while learning on, an arm a colour; None without any."""
    entries: Entries = results.get("aged") or ()
    if not entries:
        return None
    runs = [run for run in results["runs"] if run.get("aged")]
    ends = [points[-1][0] for run in runs for points in run["aged"]["courses"] if points]
    images = max(ends, default=float(results["data"]["train_images"]))
    alone = GAP * images
    figure = new_figure(4.1 + 0.2 * (len(entries) // 4))
    axes = figure.subplots()
    colour = colours([entry["arm"] for entry in entries])
    for place, entry in enumerate(entries):
        own = [run["aged"] for run in runs if run["arm"] == entry["arm"]]
        shade = colour[entry["arm"]]
        for part, start in enumerate((0.0, images + alone)):
            _course(axes, [run["courses"][part] for run in own], start, shade)
        off = alone * (0.12 + 0.3 * (place + 0.5) / len(entries))
        _marks(axes, entry, (images + 0.5 * off, images + alone - off, 2 * images + alone + off), shade)
    axes.axvspan(images, images + alone, color="#eeeeee", lw=0)
    axes.text(
        images + alone / 2, 0.02, f"left alone for {duration(entries[0]['seconds'])}", rotation=90, ha="center",
        va="bottom", transform=axes.get_xaxis_transform(), color="#666666", fontsize=8.5,
    )  # fmt: skip
    _ticks(axes, images, alone)
    axes.set(xlabel="Images learnt (count)", ylabel="Accuracy (%)")
    data = results["data"]
    figure.suptitle(label(f"Learnt, left alone, learnt on: {data['note']}", 90), fontsize=11)
    figure.legend(handles=_keys(entries, colour), loc="outside lower center", ncols=4)
    return figure


def _course(axes: Axes, courses: Sequence[Sequence[Sequence[float]]], start: float, colour: str) -> None:
    """The lines of several chips and their mean."""
    lines = [np.array(points) for points in courses if len(points)]
    if not lines:
        return
    if len(lines) > 1:
        for line in lines:
            axes.plot(start + line[:, 0], 100 * line[:, 1], color=colour, lw=0.7, alpha=0.4)
    mean = np.mean([line for line in lines if line.shape == lines[0].shape], axis=0)
    axes.plot(start + mean[:, 0], 100 * mean[:, 1], color=colour, lw=2)


def _marks(axes: Axes, entry: Mapping[str, Any], places: Sequence[float], colour: str) -> None:
    """Accuracy on the images reported on at the three moments."""
    shares = [entry[f"{moment}_mean"] for moment in MOMENTS]
    means, off = (
        [100 * mean for mean in shares],
        whiskers(shares, [around(entry, moment) for moment in MOMENTS]),
    )
    axes.errorbar(
        places, means, yerr=off, fmt="o", ms=5.5, color=colour, mfc="white", mew=1.6, capsize=3, elinewidth=1.1,
        zorder=5,
    )  # fmt: skip


def _ticks(axes: Axes, images: float, alone: float) -> None:
    """Images on both sides of the time alone, counted on."""
    ticks = [tick for tick in MaxNLocator(4, integer=True).tick_values(0, images) if 0 <= tick <= images]
    places = [*ticks, *(images + alone + tick for tick in ticks if tick)]
    axes.set_xticks(places, [f"{tick:,.0f}" for tick in (*ticks, *(images + tick for tick in ticks if tick))])
    axes.set_xlim(-0.02 * images, 2 * images + 1.7 * alone)


def _keys(entries: Entries, colour: dict[str, str]) -> list[Line2D]:
    arms = [Line2D([], [], color=colour[e["arm"]], lw=2, label=label(e["arm"])) for e in entries]
    mark = Line2D([], [], ls="", marker="o", mfc="white", mec=INK, mew=1.4, label="on the images reported on")
    return [*arms, mark]
