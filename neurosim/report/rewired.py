"""The figure of a sweep over wires: accuracy against the resistance at which it is read, a curve for each tile size."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from neurosim.report.style import MARKERS, PALETTE, label, new_figure, styled

LEARNT, READ, LINES = "wires.ohm@learning", "wires.ohm@reading", "tiles.lines@reading"
TITLES = {"accuracy": "Accuracy", "vote": "Vote of the winning neuron"}


def is_rewired(results: dict[str, Any]) -> bool:
    """Return whether these are results of `neurosim wires`: learnt at some resistances, read at others and in other tiles."""
    return {LEARNT, READ, LINES} <= {axis["field"] for axis in results["axes"]}


@styled
def rewired_curves(results: dict[str, Any], score: str = "accuracy") -> Figure:
    """One panel for each arm (below each other) and resistance at which it learnt (beside each other).

    Parameters
    ----------
    results : dict
        Of a sweep with the axes ``wires.ohm@learning``, ``wires.ohm@reading`` and ``tiles.lines@reading``.
    score : str
    """
    points = [point for point in results["points"] if f"{score}_mean" in point and point["arm"] != "ideal"]
    arms = list(dict.fromkeys(point["arm"] for point in points))
    trained, sizes = (sorted({point[name] for point in points}) for name in (LEARNT, LINES))
    figure = new_figure(0.9 + 2.4 * len(arms))
    data = results["data"]
    figure.suptitle(f"{TITLES[score]}, {label(data['note'], 90)} ({data['reported_on']})", fontsize=10)
    panels = figure.subplots(len(arms), len(trained), squeeze=False, sharex=True, sharey="row")
    for row, arm in zip(panels, arms, strict=True):
        for axes, ohm in zip(row, trained, strict=True):
            for place, size in enumerate(sizes):
                chosen = [p for p in points if (p["arm"], p[LEARNT], p[LINES]) == (arm, ohm, size)]
                chosen.sort(key=lambda p: float(p[READ]))
                x = [p[READ] for p in chosen]
                bands = [p.get(f"{score}_interval") or p[f"{score}_ci95"] for p in chosen]
                low, high = ([100 * band[end] for band in bands] for end in (0, 1))
                line = {"color": PALETTE[place % len(PALETTE)], "marker": MARKERS[place % len(MARKERS)]}
                axes.plot(
                    x, [100 * p[f"{score}_mean"] for p in chosen], label=f"{size} lines", ms=4, lw=1.6, **line
                )
                axes.fill_between(x, low, high, color=line["color"], alpha=0.13, lw=0)
            axes.axvline(ohm, color="#888888", lw=0.9, ls=":")
            axes.set_title(label(f"{arm}, learnt at {ohm:g} Ω", 44))
        row[0].set_ylabel("Accuracy (%)")
    for axes in panels[-1]:
        axes.set_xlabel("Wire from cell to cell (Ω)")
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=len(sizes), title="Tile, word and bit lines"
    )
    return figure
