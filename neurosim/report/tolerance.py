"""The figure of a noise-tolerance study: accuracy against the level of one disturbance."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from neurosim.report.plots import SCORES
from neurosim.report.results import VariedArm, Vary
from neurosim.report.style import INK, PALETTE, colours, label, new_figure, styled
from neurosim.study.arm import IDEAL

MARKERS = "osv^Dp"
WIDE = 50
"""Ratio of largest to smallest level above which the axis of levels becomes logarithmic."""
MOST_TICKS = 8
"""Whole levels up to so many are marked one by one."""


@styled
def tolerance_curves(vary: Vary) -> Figure:
    """Accuracy against the level for every arm, the largest tolerated level ringed."""
    scores = [
        s for s in SCORES if any(getattr(p, f"{s}_mean") is not None for a in vary.arms for p in a.points)
    ]
    figure = new_figure(3.9 + 0.2 * (len(vary.arms) // 4))
    figure.suptitle(f"Accuracy on the {label(vary.data.where, 90)}", fontsize=11)
    colour = colours([arm.arm for arm in vary.arms])
    for axes, score in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores, strict=True):
        for place, arm in enumerate(vary.arms):
            _draw_arm(axes, arm, score, colour[arm.arm], place)
        for baseline in vary.baselines:
            axes.axhline(100 * baseline.accuracy, color=INK, ls="--", lw=1.2)
        axes.set(title=SCORES[score], ylabel="Accuracy (%)", xlabel=label(_sentence(vary.quantity), 60))
        _scale(axes, vary)
    figure.legend(handles=_keys(vary, colour), loc="outside lower center", ncols=4)
    return figure


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _draw_arm(axes: Axes, arm: VariedArm, score: str, colour: str, place: int) -> None:
    points = [p for p in arm.points if getattr(p, f"{score}_mean") is not None]
    if not points:
        return
    mean = np.array([100 * getattr(p, f"{score}_mean") for p in points])
    if arm.is_flat:
        axes.axhline(mean.mean(), color=colour, lw=2, ls="-" if arm.arm == IDEAL else _dashes(place))
        return
    level = np.array([p.level or 0.0 for p in points])
    axes.plot(level, mean, color=colour, lw=1.8, marker=_marker(place), ms=4.5, ls=_dashes(place))
    known = [(x, getattr(p, f"{score}_interval")) for x, p in zip(level, points, strict=True)]
    band = np.array([(x, *interval) for x, interval in known if interval])
    if len(band):
        low, high = np.clip(100 * band[:, 1:], 0, 100).T
        axes.fill_between(band[:, 0], low, high, color=colour, alpha=0.13, lw=0)
    if score == "accuracy" and arm.tolerated_level is not None:
        here = float(np.interp(arm.tolerated_level, level, mean))
        axes.plot(arm.tolerated_level, here, "o", mfc="none", mec=colour, mew=1.8, ms=13)


def _marker(place: int) -> str:
    return MARKERS[place % len(MARKERS)]


def _dashes(place: int) -> str:
    return ("-", "--", "-.", ":")[place // len(PALETTE) % 4]


def _scale(axes: Axes, vary: Vary) -> None:
    positive = [abs(level) for level in vary.levels if level]
    if positive and max(positive) / min(positive) > WIDE:
        axes.set_xscale("symlog", linthresh=min(positive))
    elif all(level == int(level) for level in vary.levels) and len(vary.levels) <= MOST_TICKS:
        axes.set_xticks(vary.levels)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
    low, high = axes.get_ylim()
    axes.set_ylim(max(0.0, low), min(101.0, high))


def _keys(vary: Vary, colour: dict[str, str]) -> list[Line2D]:
    arms = [
        Line2D(
            [], [], color=colour[arm.arm], lw=2, label=label(arm.arm),
            ls=_dashes(place), marker="" if arm.is_flat else _marker(place), ms=4.5,
        )
        for place, arm in enumerate(vary.arms)
    ]  # fmt: skip
    lines = [
        Line2D([], [], color=INK, ls="--", lw=1.2, label=label(f"linear classifier on {b.name}", 50))
        for b in vary.baselines
    ]
    ring = Line2D([], [], ls="", marker="o", mfc="none", mec=INK, ms=11, label="keeps 99 % up to here")
    return [*arms, *lines, ring]
