"""What devices make of the start weights of each layer, as a table: known before training."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurosim.report.style import MARKERS, colours, label, new_figure, styled
from neurosim.report.sweep import COLUMNS, drawn, heading, level_text, positions_of, scale
from neurosim.report.text import markdown_table, percent, significant, under_one_head

HELD = {
    "window": "window / rms",
    "step": "pulse / rms",
    "programmed": "write error / rms",
    "followed": "changes followed, %",
    "spread": "accumulated spread / rms",
    "pulses": "pulses a weight",
}
"""What `study.holding` finds, with its heading."""
EXPLAINED = (
    "start weights written to a sample of cells, and 200 random changes of a tenth of their rms asked for, 16 rms in all. "
    "Everything in units of the rms."
)
SHOWN = {
    "window": "Largest weight (rms)",
    "programmed": "Write error (rms)",
    "spread": "Accumulated spread (rms)",
}
"""What is drawn of it, of a sweep."""


def holding_table(results: dict[str, Any]) -> Table | None:
    """Return a table with a row for each layer of each arm on devices; None without such arms."""
    if not results.get("holding"):
        return None
    table = Table(
        "arm", "layer", *HELD.values(), title="What devices make of the start weights of each layer"
    )
    for row in holding_rows(results):
        table.add_row(*row)
    return table


def held_table(results: dict[str, Any]) -> Table:
    """Return that table of a sweep: a row for each point, arm and layer."""
    axes = results["axes"]
    table = Table(
        *(heading(axis) for axis in axes), "arm", "layer", *HELD.values(),
        title="What devices make of the start weights of each layer", caption=f"Known before training: {EXPLAINED}",
        box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False,
    )  # fmt: skip
    for point in results["points"]:
        levels = [Text(level_text(point[axis["field"]]) if axis["field"] in point else "·") for axis in axes]
        found: list[Any] = ["", Text(f"failed: {point.get('error')}")]
        if "error" not in point:
            found = [str(point["layer"]), *_numbers({name: point[f"held_{name}"] for name in HELD})]
        table.add_row(*levels, Text(point["arm"]), *found)
    return table


@styled
def held_curves(results: dict[str, Any]) -> Figure:
    """Window, error of writing and accumulated spread against each axis, an arm a colour, a layer a line."""
    axes, shown = drawn(results), list(SHOWN)
    points = [point for point in results["points"] if "error" not in point]
    arms = list(dict.fromkeys(point["arm"] for point in points))
    layers = sorted({point["layer"] for point in points})
    colour = colours(arms)
    figure = new_figure(0.9 + 2.6 * len(axes))
    figure.suptitle("Held before anything is learnt, in rms of the start weights", fontsize=11)
    for row, axis in zip(figure.subplots(len(axes), COLUMNS, squeeze=False), axes, strict=True):
        positions, _ = positions_of(axis["levels"])
        for place, name in zip(row, shown, strict=True):
            for arm in arms:
                for k, layer in enumerate(layers):
                    own = [p for p in points if (p["arm"], p["layer"]) == (arm, layer) and axis["field"] in p]
                    x = [positions[axis["levels"].index(p[axis["field"]])] for p in own]
                    line = "-" if len(results["axes"]) == 1 else ""
                    marker = MARKERS[k % len(MARKERS)]
                    place.plot(
                        x,
                        [p[f"held_{name}"] for p in own],
                        line,
                        marker=marker,
                        ms=4,
                        lw=1.4,
                        color=colour[arm],
                    )
            place.set_ylabel(SHOWN[name])
            scale(place, axis)
            place.set_ylim(bottom=0)
    keys = [Line2D([], [], color=colour[arm], lw=2, label=label(arm)) for arm in arms]
    keys += [
        Line2D([], [], color="#666666", ls="", marker=MARKERS[k % len(MARKERS)], label=f"layer {layer}")
        for k, layer in enumerate(layers)
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=min(5, len(keys)))
    return figure


def _numbers(layer: dict[str, Any]) -> list[str]:
    return [percent(layer[k]) if k == "followed" else significant(layer[k]) for k in HELD]


def holding_rows(results: dict[str, Any]) -> list[list[str]]:
    """Rows of that table."""
    rows = []
    for arm, layers in results["holding"].items():
        for layer in layers:
            rows.append([arm, str(layer["layer"]), *_numbers(layer)])
    return under_one_head(rows)


def holding_markdown(results: dict[str, Any]) -> list[str]:
    """Return the table with its explanation, for the documentation; nothing without arms on devices."""
    if not results.get("holding"):
        return []
    return [
        f"Known before training: {EXPLAINED}\n",
        markdown_table(("arm", "layer", *HELD.values()), holding_rows(results)),
    ]
