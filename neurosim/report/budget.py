"""Noise budgets of a sweep over effects: points of accuracy that each costs, as a figure, a table and in words."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.report.style import IDEAL_COLOUR, INK, label, name_rows, new_figure, styled, tint, write_beside
from neurosim.report.text import percent, significant, spread

Results = dict[str, Any]
COLOURS = {"bare": "#56B4E9", "alone": "#E69F00", "interaction": "#CCCCCC", "all": "#808080"}
"""Colour of each kind of bar."""
NAMES = {"bare": "bare device", "interaction": "interaction", "all": "all together"}
"""How the report calls what is no single effect."""
TITLES = {"accuracy": "linear readout", "vote": "vote", "relearnt": "after learning at other chips"}
"""Accuracies that are shown, where there are several; one alone is "accuracy"."""
WIDEST = 1.6
"""Intervals are shown up to so many times the longest bar."""


def titles(results: Results) -> dict[str, str]:
    """Return the accuracies that are shown, with what they are called."""
    causes = [cause for budget in results["budgets"] for cause in budget["causes"]]
    found = {score: said for score, said in TITLES.items() if all(f"{score}_lost_mean" in c for c in causes)}
    return found if len(found) > 1 else {"accuracy": "accuracy"}


def ordered(budget: dict[str, Any]) -> list[dict[str, Any]]:
    """Return bare device, single effects with the dearest first, interaction, all together."""
    causes = budget["causes"]
    alone = sorted((c for c in causes if c["kind"] == "alone"), key=lambda c: -float(c["accuracy_lost_mean"]))
    rest = [cause for kind in ("interaction", "all") for cause in causes if cause["kind"] == kind]
    return [*(cause for cause in causes if cause["kind"] == "bare"), *alone, *rest]


def cause_name(cause: dict[str, Any]) -> str:
    """Return a cause as the report names it."""
    return NAMES.get(cause["kind"], str(cause["cause"]))


def lost_interval(cause: dict[str, Any], score: str) -> tuple[float, float] | None:
    """Return the interval of what a cause costs: for new chips and images; of results of earlier versions Student's."""
    found = cause.get(f"{score}_lost_interval", cause.get(f"{score}_lost_student95"))
    return None if found is None else (found[0], found[1])


def whose(results: Results, budget: dict[str, Any]) -> str:
    """Return the arm of a budget, and the levels of the other axes."""
    names = {axis["field"]: axis["field"].rpartition(".")[2].replace("_", " ") for axis in results["axes"]}
    beside = "".join(f", {names[name]} {level}" for name, level in budget.get("others", {}).items())
    return f"{budget['arm']}{beside}"


def verdicts(results: Results) -> list[tuple[str, str]]:
    """Return (arm, words) of each budget: how much is lost, and which effects are told apart."""
    found = []
    for budget in results["budgets"]:
        whole = [cause for cause in budget["causes"] if cause["kind"] == "all"]
        said = f"loses {percent(whole[0]['accuracy_lost_mean'])} points in all. " if whole else ""
        found.append((whose(results, budget), f"{said}{budget['verdict']}".strip()))
    return found


def budget_table(results: Results) -> Table | None:
    """Return the points lost by each cause; None if the results have no budgets."""
    if not results.get("budgets"):
        return None
    data, shown = results["data"], titles(results)
    table = Table(
        title=Text(f"Points of accuracy lost on the {data['reported_on']} of {data['note']}"),
        caption=Text(f"{meaning(results)} {_chips(results)} {_said(results)}".strip()),
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("arm", overflow="fold")
    table.add_column("cause", overflow="fold")
    table.add_column("settings", overflow="fold")
    for said in shown.values():
        table.add_column(said, justify="right")
    for budget in results["budgets"]:
        for k, cause in enumerate(ordered(budget)):
            points = (spread(cause[f"{s}_lost_mean"], lost_interval(cause, s)) for s in shown)
            head = whose(results, budget) if k == 0 else ""
            table.add_row(Text(head), Text(cause_name(cause)), Text(_settings(cause)), *points)
        table.add_section()
    return table


def _settings(cause: dict[str, Any]) -> str:
    """Settings that a cause stands for, without their places."""
    return ", ".join(f"{path.split('.')[-1]} = {_short(value)}" for path, value in cause["settings"].items())


def _short(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return significant(value, 3)
    return "table" if isinstance(value, list | tuple) else str(value)


def _said(results: Results) -> str:
    return " ".join(f"{arm}: {said}" for arm, said in verdicts(results))


def _chips(results: Results) -> str:
    chips = min(budget["chips"] for budget in results["budgets"])
    if chips < 2:
        return "One seed: no interval, and a loss of a few points may be chance."
    earlier = any("accuracy_lost_student95" in c for b in results["budgets"] for c in b["causes"])
    return f"95 % intervals {'(Student) over' if earlier else 'for new chips and new images, from'} {chips} seeds, paired."


def meaning(results: Results) -> str:
    """Return what the points are of."""
    against = (
        "ideal arithmetic"
        if all(b["ideal"] for b in results["budgets"])
        else "ideal arithmetic where it is an arm"
    )
    way = {budget["way"] for budget in results["budgets"]}
    effect = "alone on top of the bare device, against it"
    if way == {"without"}:
        effect = "the arm without it, against the arm as given"
    elif len(way) > 1:
        effect = f"{effect}, or, of the axis without, the arm without it against the arm as given"
    return (
        f"Bare device: its law with every effect off, against {against}. Each effect: {effect}; below zero it helps. "
        f"All together: the arm as given, against {against}, else against the bare device. Interaction: all minus the "
        "sum of the parts; below zero effects mask each other."
    )


def caption(results: Results) -> str:
    """Return what stands below the figure."""
    return f"Percentage points of accuracy lost. {meaning(results)} {_chips(results)}"


@styled
def budget_bars(results: Results) -> Figure | None:
    """Points lost by each cause, a row of panels for each budget, with 95 % intervals; None without budgets."""
    budgets = results.get("budgets")
    if not budgets:
        return None
    shown, data = titles(results), results["data"]
    heights = [1.05 + 0.27 * len(budget["causes"]) for budget in budgets]
    figure = new_figure(0.9 + sum(heights))
    figure.suptitle(label(f"Accuracy lost, {data['reported_on']} of {data['note']}", 90), fontsize=11)
    panels = figure.subplots(len(budgets), len(shown), squeeze=False, height_ratios=heights)
    for place, (score, said) in enumerate(shown.items()):
        limits = _limits(budgets, score)
        for row, budget in zip(panels, budgets, strict=True):
            _draw(row[place], ordered(budget), score, limits)
            row[place].set_title(f"{label(whose(results, budget))}: {said}")
            row[place].tick_params(labelleft=place == 0)
    figure.legend(handles=_keys(results), loc="outside lower center", ncols=3)
    return figure


def _draw(axes: Axes, causes: list[dict[str, Any]], score: str, limits: tuple[float, float]) -> None:
    points = [cause[f"{score}_lost_mean"] for cause in causes]
    for row, (cause, share) in enumerate(zip(causes, points, strict=True)):
        interval = lost_interval(cause, score)
        colour = COLOURS[cause["kind"]]
        pale = interval is not None and interval[0] <= 0 <= interval[1]
        axes.barh(row, 100 * share, 0.68, color=tint(colour, 0.4) if pale else colour, edgecolor=colour)
        if interval:
            axes.plot(100 * np.array(interval), [row, row], color=INK, lw=1.2, marker="|", ms=6)
    kinds = [cause["kind"] for cause in causes]
    for row, (kind, after) in enumerate(pairwise(kinds)):
        if kind != after:
            axes.axhline(row + 0.5, color="#aaaaaa", lw=0.7, ls=":")
    axes.axvline(0, color=IDEAL_COLOUR, lw=1.2)
    axes.set(xlabel="Lost (percentage points)", xlim=limits)
    name_rows(axes, [cause_name(cause) for cause in causes])
    write_beside(axes, [percent(share) for share in points])


def _limits(budgets: list[dict[str, Any]], score: str) -> tuple[float, float]:
    """One scale for all arms; an interval of very few seeds does not squeeze the bars."""
    causes = [cause for budget in budgets for cause in budget["causes"]]
    means = [100 * cause[f"{score}_lost_mean"] for cause in causes]
    ends = [100 * end for cause in causes for end in lost_interval(cause, score) or ()]
    longest = max(*(abs(mean) for mean in means), 0.1)
    low = max(min([0.0, *means, *ends]), -WIDEST * longest)
    high = min(max([0.0, *means, *ends]), WIDEST * longest)
    margin = 0.03 * (high - low)
    return low - margin, high + margin


def _keys(results: Results) -> list[Line2D | Patch]:
    causes = [cause for budget in results["budgets"] for cause in budget["causes"]]
    said = {
        "bare": "bare device against ideal",
        "alone": "one effect",
        "interaction": "all minus the sum of the above",
        "all": "all together",
    }
    kinds = {cause["kind"] for cause in causes}
    bars: list[Line2D | Patch] = [
        Patch(color=COLOURS[kind], label=words) for kind, words in said.items() if kind in kinds
    ]
    bars.append(Line2D([], [], color=IDEAL_COLOUR, lw=1.2, label="no loss"))
    if any(lost_interval(cause, "accuracy") for cause in causes):
        bars.append(
            Line2D([], [], color=INK, marker="|", ms=6, lw=1.2, label="95 % interval; pale: crosses zero")
        )
    return bars
