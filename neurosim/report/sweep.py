"""What a sweep came to: a table of its points for the terminal, curves for each axis, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.energy.bill import joules_text
from neurosim.report.style import IDEAL_COLOUR, INK, colours, label, new_figure, styled
from neurosim.report.text import around, duration, spread
from neurosim.study.arm import IDEAL
from neurosim.study.deep_spec import ALL_DEPTHS
from neurosim.study.effects import WAYS
from neurosim.study.fields import AGE
from neurosim.study.fine_tuning import TUNED
from neurosim.study.priced import ON_A_PAGE, priced

Results = dict[str, Any]
MARKERS = "osv^Dp"
BESIDE = (ALL_DEPTHS, TUNED)
"""Scores of deep networks that have a column beside the headline."""
WIDE = 50
"""Ratio of largest to smallest level above which the axis of levels becomes logarithmic."""
NAMES = {
    "wires.ohm": "wires (ohm)",
    "tiles.lines": "tiles (lines)",
    "only": "effect alone",
    "without": "without effect",
}
"""Axes whose own name says too little."""
SCORES = {
    "accuracy": "Accuracy",
    "vote": "Vote of the winning neuron",
    "accuracy_linear": "Linear readout of spike counts",
}
WHEN = {"both": "", "learning": " while it learns", "reading": " when it is read"}
"""When the level of an axis holds, in words."""
JOULES = f"; joules with periphery, prices {ON_A_PAGE}: what is assumed says neurosim energy"
MOST_ROWS = 60
"""Rows of a table on the terminal; all are in sweep.json."""
COLUMNS = 3


def several(results: Results) -> list[dict[str, Any]]:
    """Return the axes with several levels, which are columns; all where none has."""
    return [axis for axis in results["axes"] if len(axis["levels"]) > 1] or results["axes"]


def _fixed(results: Results) -> str:
    """The axes with a single level beside others, in words."""
    shown = [axis["field"] for axis in several(results)]
    return "".join(
        f"; {heading(axis)}: {level_text(axis['levels'][0])}"
        for axis in results["axes"]
        if axis["field"] not in shown
    )


def sweep_table(results: Results) -> Table:
    """Return the points of a sweep: levels, arm, accuracy with its interval, points below ideal."""
    axes = several(results)
    fields = [axis["field"] for axis in axes]
    points = _once(results["points"], [axis["field"] for axis in results["axes"]])
    data = results["data"]
    shown = points[:MOST_ROWS]
    more = f"; {len(points) - len(shown)} more in sweep.json" if len(points) > len(shown) else ""
    table = Table(
        title=Text(f"Accuracy on the {data['reported_on']} of {data['note']}"),
        caption=f"95 % intervals for new chips and new images; gap in points below ideal arithmetic{_fixed(results)}{more}"
        f"{JOULES if _took(results) else ''}",
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    for axis in axes:
        table.add_column(Text(heading(axis)), justify="right")
    table.add_column("arm", overflow="fold")
    table.add_column("seeds", justify="right")
    table.add_column("accuracy %", justify="right")
    table.add_column("gap", justify="right")
    beside = [name for name in BESIDE if any(f"{name}_mean" in point for point in points)]
    for name in beside:
        table.add_column(f"{name} %", justify="right")
    took = _took(results)
    if took:
        table.add_column("joules a sample", justify="right")
    for point in shown:
        levels = [Text(level_text(point[field]) if field in point else "·") for field in fields]
        if "accuracy_mean" not in point:
            table.add_row(
                *levels, Text(point["arm"]), str(point["seeds"]), Text(f"failed: {point['errors'][0]}"), ""
            )
            continue
        gap = point.get("gap_to_ideal_mean", point.get("accuracy_gap_mean"))
        table.add_row(
            *levels, Text(point["arm"]), str(point["seeds"]),
            spread(point["accuracy_mean"], around(point, "accuracy")),
            "" if gap is None else spread(gap, around(point, "gap") or around(point, "accuracy_gap")),
            *(_accuracy(point, name) for name in beside),
            *([took.get(_place(results, point), "")] if took else []),
        )  # fmt: skip
    return table


def _accuracy(point: dict[str, Any], name: str) -> str:
    """One score of a point beside its headline; nothing where its arm has none."""
    mean = point.get(f"{name}_mean")
    return "" if mean is None else spread(mean, around(point, name))


def _place(results: Results, point: dict[str, Any]) -> tuple[str, str]:
    """What a point is known by: its arm, and its levels."""
    return point["arm"], repr([point.get(axis["field"]) for axis in results["axes"]])


def _took(results: Results) -> dict[tuple[str, str], str]:
    """Joules a sample of learning at each point on devices, with their range; empty where samples or events are unknown."""
    if results.get("measure") != "accuracy" or not any(row.get("events") for row in results.get("rows", ())):
        return {}
    found = {}
    for each in priced(results, [ON_A_PAGE]):
        if each.samples:
            bill = each.bill.learnt()
            joules, low, high = (
                joules_text(None if bill.absent else end / each.samples) for end in bill.total()
            )
            found[_place(results, {"arm": each.arm, **each.levels})] = (
                joules if bill.absent else f"{joules} ({low} to {high})"
            )
    return found


def tolerance_table(results: Results, of: str | None = None) -> Table | None:
    """Return how far each axis, or one of them, may go on each arm; None where nothing can be said."""
    tolerances = [each for each in results.get("tolerances", ()) if of in (None, each["field"])]
    if not tolerances:
        return None
    table = Table(
        title=Text(
            "The last level that keeps 99 % of the accuracy at the first; of bits the most come first"
        ),
        box=SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    for name in ("arm", "axis", "with", "tolerated, 95 % for new chips and images"):
        table.add_column(name, overflow="fold")
    named = {axis["field"]: heading(axis) for axis in results["axes"]}
    shown = [axis["field"] for axis in several(results)]
    for found in tolerances:
        others = ", ".join(
            f"{named[name]} {level_text(level)}" for name, level in found["others"].items() if name in shown
        )
        table.add_row(Text(found["arm"]), Text(named[found["field"]]), Text(others), Text(found["verdict"]))
    return table


def tolerated(results: Results, arm: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (axis in words, tolerance) of an arm for each axis, the others at their first levels where they are crossed."""
    named = {axis["field"]: quantity(axis) for axis in results["axes"]}
    return [
        (named[found["field"]], found)
        for found in results.get("tolerances", ())
        if found["arm"] == arm and at_first(results, found["others"])
    ]


def at_first(results: Results, levels: dict[str, Any]) -> bool:
    """Return whether all these levels are the first of their axes."""
    first = {axis["field"]: axis["levels"][0] for axis in results["axes"]}
    return all(first[field] == level for field, level in levels.items())


def at_levels(results: Results, point: dict[str, Any]) -> str:
    """Return the levels of a point in words: "read noise 0.05 share of G_max, age 1 year"."""
    return ", ".join(
        f"{in_words(axis)} {level_text(point[axis['field']])} {_unit(axis, point)}".rstrip()
        + WHEN[axis["when"]]
        if axis["field"] != AGE
        else f"age {duration(point[AGE])}"
        for axis in results["axes"]
        if axis["field"] in point
    )


def _unit(axis: dict[str, Any], point: dict[str, Any]) -> str:
    level, unit = point[axis["field"]], axis["unit"]
    return unit if isinstance(level, int | float) and unit not in in_words(axis).split() else ""


def _once(points: list[dict[str, Any]], fields: list[str]) -> list[dict[str, Any]]:
    """The points, ideal arithmetic once where no level touches it."""
    ideal = [point for point in points if point["arm"] == IDEAL]
    if len({point.get("accuracy_mean") for point in ideal}) != 1:
        return points
    one = {name: value for name, value in ideal[0].items() if name not in fields}
    return [one, *(point for point in points if point["arm"] != IDEAL)]


def quantity(axis: dict[str, Any]) -> str:
    """Return the name of an axis in words, without its place, and its unit where the name does not say it."""
    if axis["field"].partition("@")[0] in NAMES:
        return NAMES[axis["field"].partition("@")[0]]
    words, unit = in_words(axis), axis["unit"]
    return words if not unit or unit in words.split() else f"{words} ({unit})"


def in_words(axis: dict[str, Any]) -> str:
    """Return the name of an axis in words, without its place and its unit."""
    field = axis["field"].partition("@")[0]
    words = (field.partition(".")[2] or field).split("_")
    unit = axis["unit"]
    return " ".join(words[:-1] if unit and words[-1] == unit and len(unit) < 3 else words)


def heading(axis: dict[str, Any]) -> str:
    """Return the name of an axis in words with the time at which its level holds, where that is one alone."""
    when = WHEN[axis["when"]]
    return f"{quantity(axis)}{when and ','}{when}"


def level_text(level: Any) -> str:
    """Return a level as a reader writes it."""
    if level is None:
        return "none"
    return f"{level:g}" if isinstance(level, int | float) and not isinstance(level, bool) else str(level)


def drawn(results: Results) -> list[dict[str, Any]]:
    """Return the axes that are panels: those with several levels; effects have bars instead."""
    axes = [axis for axis in results["axes"] if axis["field"] not in WAYS]
    return [axis for axis in axes if len(axis["levels"]) > 1] or axes


@styled
def sweep_curves(results: Results, score: str = "accuracy") -> Figure:
    """Accuracy against each axis, an arm a line; levels of the other axes are a line each where they are crossed."""
    axes = drawn(results)
    columns = min(COLUMNS, len(axes))
    rows = -(-len(axes) // columns)
    figure = new_figure(0.7 + 2.9 * rows)
    data = results["data"]
    figure.suptitle(label(f"{SCORES[score]} on the {data['reported_on']} of {data['note']}", 90), fontsize=11)
    arms = list(dict.fromkeys(point["arm"] for point in results["points"]))
    colour = {**colours([arm for arm in arms if arm != IDEAL]), IDEAL: IDEAL_COLOUR}
    places = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for place, axis in zip(places, axes, strict=False):
        _axis(place, results, axis, score, colour)
    for place in places[len(axes) :]:
        place.set_axis_off()
    for first in places[::columns]:
        first.set_ylabel("Accuracy (%)")
    keys = [
        Line2D([], [], color=colour[arm], lw=2, ls=":" if arm == IDEAL else "-",
               marker="" if arm == IDEAL else MARKERS[list(colour).index(arm) % len(MARKERS)], ms=4.5,
               label=label("ideal arithmetic" if arm == IDEAL else arm))
        for arm in arms
    ]  # fmt: skip
    if score == "accuracy" and any(map(_is_ringed, results["tolerances"])):
        ring: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "none", "mec": INK, "ms": 10}
        keys.append(Line2D([], [], label="keeps 99 % up to here", **ring))
    figure.legend(handles=keys, loc="outside lower center", ncols=min(4, len(keys)))
    return figure


def _axis(place: Axes, results: Results, axis: dict[str, Any], score: str, colour: dict[str, str]) -> None:
    field, levels = axis["field"], axis["levels"]
    others = [other["field"] for other in results["axes"] if other["field"] != field]
    positions, _ = positions_of(levels)
    lines: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for point in results["points"]:
        if field in point and f"{score}_mean" in point:
            lines.setdefault((point["arm"], *(str(point.get(other)) for other in others)), []).append(point)
    arms = list(colour)
    for (arm, *_), points in lines.items():
        x = np.array([positions[levels.index(point[field])] for point in points])
        y = np.array([100 * point[f"{score}_mean"] for point in points])
        order = np.argsort(x)
        style: dict[str, Any] = (
            {"ls": ":"} if arm == IDEAL else {"marker": MARKERS[arms.index(arm) % len(MARKERS)]}
        )
        faint = 1.0 if len(lines) <= len(arms) else 0.6
        place.plot(x[order], y[order], color=colour[arm], lw=1.6, ms=4, alpha=faint, **style)
        band = np.array([around(point, score) for point in points])[order]
        if arm != IDEAL and len(lines) <= 2 * len(arms):
            low, high = np.clip(100 * band, 0, 100).T
            place.fill_between(x[order], low, high, color=colour[arm], alpha=0.12, lw=0)
    if score == "accuracy":
        for found in results["tolerances"]:
            _ring(place, found, axis, lines, colour)
    scale(place, axis)


def _ring(
    place: Axes,
    found: dict[str, Any],
    axis: dict[str, Any],
    lines: dict[tuple[Any, ...], list[dict[str, Any]]],
    colour: dict[str, str],
) -> None:
    """Mark the largest level that keeps what the first has, where it lies on the axis."""
    field, levels = axis["field"], axis["levels"]
    if found["field"] != field or not _is_ringed(found):
        return
    for (arm, *_), points in lines.items():
        for point in points:
            if arm == found["arm"] and point[field] == found["level"]:
                place.plot(
                    positions_of(levels)[0][levels.index(found["level"])],
                    100 * point["accuracy_mean"],
                    "o",
                    mfc="none",
                    mec=colour[arm],
                    mew=1.8,
                    ms=12,
                )


def _is_ringed(found: dict[str, Any]) -> bool:
    """Whether the chips suffice to say a tolerance, and no other axis is crossed with this one."""
    return not found["others"] and found["level"] is not None and bool(found.get("enough", True))


def scale(place: Axes, axis: dict[str, Any]) -> None:
    """Name the axis and its levels; one that spans decades is logarithmic."""
    positions, ticks = positions_of(axis["levels"])
    place.set_xlabel(label(heading(axis), 44))
    if ticks is not None:
        place.set_xticks(positions, ticks, fontsize=8)
    elif _wide(axis["levels"]):
        smallest = min(abs(level) for level in axis["levels"] if level)
        place.set_xscale("symlog", linthresh=smallest)
    place.tick_params(colors=INK)


def positions_of(levels: Sequence[Any]) -> tuple[list[float], list[str] | None]:
    """Return where levels lie on an axis; with their names where they are no numbers."""
    if all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels):
        return [float(level) for level in levels], None
    return [float(k) for k in range(len(levels))], [level_text(level) for level in levels]


def _wide(levels: Sequence[Any]) -> bool:
    positive = [abs(level) for level in levels if level]
    return len(positive) > 1 and max(positive) / min(positive) > WIDE
