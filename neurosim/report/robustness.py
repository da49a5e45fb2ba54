"""Spoilt images: accuracy against noise and attacks, as a figure and a table."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from neurosim.report.style import MARKERS, colours, label, new_figure, styled, whiskers
from neurosim.report.text import NOTHING, around, markdown_table, spread
from neurosim.study.robustness import SPOILT

HEADS = ("arm", "images spoilt by", "level", "accuracy, %", "the copy that was attacked, %")
WHAT = (
    "Levels are in units of the images, whose pixels go from 0 to 1: the standard deviation of the noise, or the largest change of "
    "a pixel. The attacker knows the weights as they are stored and follows their gradient in ideal arithmetic; where devices do "
    "better than that copy, their noise has saved them."
)
AXES = {
    "noise": "Standard deviation of a pixel",
    "fgsm": "Largest change of a pixel",
    "pgd": "Largest change of a pixel",
}


def _by_way(results: dict[str, Any]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Entries by way of spoiling and by arm, that of unspoilt images first."""
    entries = results["robustness"]
    clean = {entry["arm"]: entry for entry in entries if entry["spoilt"] == "none"}
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for entry in entries:
        if entry["spoilt"] != "none":
            own = found.setdefault(entry["spoilt"], {}).setdefault(entry["arm"], [clean[entry["arm"]]])
            own.append(entry)
    return found


@styled
def robustness_curves(results: dict[str, Any]) -> Figure | None:
    """Accuracy against the level, a panel a way of spoiling, a line an arm, with 95 % intervals; None where nothing was spoilt."""
    if not results.get("robustness"):
        return None
    ways = _by_way(results)
    figure = new_figure(3.6 if len(ways) > 1 else 4.6)
    panels = figure.subplots(1, len(ways), sharey=True, squeeze=False)[0]
    colour = colours(list(dict.fromkeys(entry["arm"] for entry in results["robustness"])))
    for axes, (way, arms) in zip(panels, ways.items(), strict=True):
        for place, (arm, entries) in enumerate(arms.items()):
            x, shares = [entry["level"] for entry in entries], [entry["accuracy_mean"] for entry in entries]
            y, off = (
                [100 * mean for mean in shares],
                whiskers(shares, [around(entry, "accuracy") for entry in entries]),
            )
            axes.errorbar(
                x, y, yerr=off, capsize=2, elinewidth=1, marker=MARKERS[place % len(MARKERS)], ms=4, lw=1.5,
                color=colour[arm], label=label(arm, 34) if axes is panels[0] else None,
            )  # fmt: skip
        axes.set(xlabel=AXES[way], title=SPOILT[way], ylim=(0, 100))
    panels[0].set_ylabel("Accuracy (%)")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def robustness_rows(results: dict[str, Any]) -> list[list[str]]:
    """Return a row an arm, way and level, the unspoilt images first."""
    rows = []
    for entry in results["robustness"]:
        way = "nothing" if entry["spoilt"] == "none" else SPOILT[entry["spoilt"]]
        copied = entry.get("copy_accuracy_mean")
        rows.append(
            [
                entry["arm"], way, NOTHING if entry["spoilt"] == "none" else f"{entry['level']:g}",
                spread(entry["accuracy_mean"], around(entry, "accuracy")),
                NOTHING if copied is None else f"{100 * copied:.1f}",
            ]
        )  # fmt: skip
    return rows


def robustness_table(results: dict[str, Any]) -> Table | None:
    """Return a table with a row an arm, way and level; None where no image was spoilt."""
    if not results.get("robustness"):
        return None
    table = Table(*HEADS, title="Spoilt images", caption=WHAT)
    for row in robustness_rows(results):
        table.add_row(*row)
    return table


def robustness_markdown(name: str, results: dict[str, Any]) -> list[str]:
    """Return figure and table for the documentation; nothing where no image was spoilt."""
    if not results.get("robustness"):
        return []
    images = results["runs"][0].get("robustness_images")
    return [
        f"## Spoilt images\n\n{WHAT} Asked of the first {images} images.\n",
        f"![accuracy of spoilt images]({name}-robustness.svg)\n",
        markdown_table(HEADS, robustness_rows(results)),
    ]
