"""The figure of a noise budget: points of accuracy that each cause costs, one row of panels a device arm."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from neurosim.report.results import Budget, Results
from neurosim.report.style import IDEAL_COLOUR, INK, label, name_rows, new_figure, styled, tint, write_beside
from neurosim.report.text import percent
from neurosim.report.words import cause_name

KINDS = {
    "bare": ("#56B4E9", "bare device against ideal"),
    "alone": ("#E69F00", "one effect alone against bare"),
    "interaction": ("#CCCCCC", "all minus the sum of the above"),
    "all": ("#808080", "all together against ideal"),
}
"""Colour and meaning of each kind of bar."""
TITLES = {"accuracy": "linear readout", "vote": "vote"}
WIDEST = 1.6
"""Intervals are shown up to so many times the longest bar."""


@styled
def budget_bars(results: Results) -> Figure | None:
    """Points lost by each cause, for readout and vote, with Student's intervals; None without a noise budget."""
    budgets = results.ablation
    if not budgets:
        return None
    heights = [1.05 + 0.27 * len(budget.causes) for budget in budgets]
    figure = new_figure(0.9 + sum(heights))
    figure.suptitle(f"Noise budget: accuracy lost, {label(results.data.where, 90)}", fontsize=11)
    panels = figure.subplots(len(budgets), len(TITLES), squeeze=False, height_ratios=heights)
    for place, score in enumerate(TITLES):
        limits = _limits(budgets, score)
        for row, budget in zip(panels, budgets, strict=True):
            _draw(row[place], budget, score, limits)
            row[place].tick_params(labelleft=place == 0)
    figure.legend(handles=_keys(results), loc="outside lower center", ncols=3)
    return figure


def _draw(axes: Axes, budget: Budget, score: str, limits: tuple[float, float]) -> None:
    causes = budget.ordered
    points = [getattr(cause, f"{score}_lost_mean") for cause in causes]
    for row, (cause, share) in enumerate(zip(causes, points, strict=True)):
        interval = getattr(cause, f"{score}_lost_student95")
        colour = KINDS[cause.kind][0]
        pale = interval is not None and interval[0] <= 0 <= interval[1]
        axes.barh(row, 100 * share, 0.68, color=tint(colour, 0.4) if pale else colour, edgecolor=colour)
        if interval:
            ends = 100 * np.array(interval)
            axes.plot(ends, [row, row], color=INK, lw=1.2, marker="|", ms=6)
    for edge in (0.5, len(causes) - 2.5, len(causes) - 1.5):
        axes.axhline(edge, color="#aaaaaa", lw=0.7, ls=":")
    axes.axvline(0, color=IDEAL_COLOUR, lw=1.2)
    axes.set(title=f"{label(budget.arm)}: {TITLES[score]}", xlabel="Lost (percentage points)", xlim=limits)
    name_rows(axes, [cause_name(cause) for cause in causes])
    write_beside(axes, [percent(share) for share in points])


def _limits(budgets: tuple[Budget, ...], score: str) -> tuple[float, float]:
    """One scale for all arms; an interval of very few seeds does not squeeze the bars."""
    causes = [cause for budget in budgets for cause in budget.causes]
    means = [100 * getattr(cause, f"{score}_lost_mean") for cause in causes]
    intervals = [getattr(cause, f"{score}_lost_student95") for cause in causes]
    ends = [100 * end for interval in intervals if interval for end in interval]
    longest = max(*(abs(mean) for mean in means), 0.1)
    low = max(min([0.0, *means, *ends]), -WIDEST * longest)
    high = min(max([0.0, *means, *ends]), WIDEST * longest)
    margin = 0.03 * (high - low)
    return low - margin, high + margin


def _keys(results: Results) -> list[Line2D | Patch]:
    bars: list[Line2D | Patch] = [Patch(color=colour, label=said) for colour, said in KINDS.values()]
    bars.append(Line2D([], [], color=IDEAL_COLOUR, lw=1.2, label="no loss"))
    if results.seeds > 1:
        bars.append(
            Line2D([], [], color=INK, marker="|", ms=6, lw=1.2, label="95 % interval; pale: crosses zero")
        )
    return bars
