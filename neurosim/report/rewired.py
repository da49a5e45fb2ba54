"""The figure of a study of wires: accuracy against the resistance of a segment, a curve for each tile size."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from neurosim.report.plots import SCORES
from neurosim.report.style import PALETTE, label, new_figure, styled

MARKERS = "osv^Dp"


@styled
def rewired_curves(results: dict[str, Any], score: str = "accuracy") -> Figure:
    """One panel for each arm (below each other) and resistance at which it learnt (beside each other)."""
    points = results["points"]
    arms = list(dict.fromkeys(point["arm"] for point in points))
    trained = sorted({point["trained_ohm"] for point in points})
    sizes = sorted({point["lines"] for point in points})
    figure = new_figure(0.9 + 2.4 * len(arms))
    figure.suptitle(
        f"{SCORES[score]}, {label(results['data']['note'], 90)} ({results['data']['reported_on']})",
        fontsize=10,
    )
    panels = figure.subplots(len(arms), len(trained), squeeze=False, sharex=True, sharey="row")
    for row, arm in zip(panels, arms, strict=True):
        for axes, ohm in zip(row, trained, strict=True):
            for place, size in enumerate(sizes):
                chosen = [
                    p for p in points if p["arm"] == arm and p["trained_ohm"] == ohm and p["lines"] == size
                ]
                chosen.sort(key=lambda p: p["ohm"])
                x = [p["ohm"] for p in chosen]
                low, high = ([100 * p[f"{score}_ci95"][end] for p in chosen] for end in (0, 1))
                line = {"color": PALETTE[place], "marker": MARKERS[place % len(MARKERS)], "ms": 4, "lw": 1.6}
                axes.plot(x, [100 * p[f"{score}_mean"] for p in chosen], label=f"{size} lines", **line)
                axes.fill_between(x, low, high, color=PALETTE[place], alpha=0.13, lw=0)
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


def rewired_table(results: dict[str, Any]) -> Table:
    """Readout and vote at every point."""
    table = Table("device", "learnt at", "tile", "read at", "readout %", "vote %")
    for point in results["points"]:
        table.add_row(
            point["arm"],
            f"{point['trained_ohm']:g} ohm",
            str(point["lines"]),
            f"{point['ohm']:g} ohm",
            f"{100 * point['accuracy_mean']:.1f}",
            f"{100 * point['vote_mean']:.1f}",
        )
    return table
