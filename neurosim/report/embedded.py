"""Images as points, by what each depth answers to them, as a figure."""

from __future__ import annotations

from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure

from neurosim.core.protocols import State
from neurosim.report.style import WIDTH_IN, label, new_figure, styled

MOST_ARMS = 6
EXPLAINED = (
    "First seed; each point an image that is reported on, in the colour of its class. A UMAP of the pixels and of what each depth "
    "answers: places say who is near whom, distances and axes nothing. Above: of the 15 nearest neighbours of an image, by the answers "
    "themselves, the share that is of its class."
)


@styled
def embedded_images(results: dict[str, Any], held: dict[str, State]) -> Figure | None:
    """Draw a row for each arm, the pixels first and then each depth; None where nothing was kept."""
    rows = [(arm, found) for arm, found in held.items() if "embedded.labels" in found][:MOST_ARMS]
    if not rows:
        return None
    depths = [depth for depth in range(100) if f"embedded.{depth}" in rows[0][1]]
    figure = new_figure(0.3 + len(rows) * (WIDTH_IN / len(depths) + 0.15))
    panels = figure.subplots(len(rows), len(depths), squeeze=False)
    for line, (arm, found) in zip(panels, rows, strict=True):
        classes = found["embedded.labels"]
        colours = colormaps["tab20" if classes.max() > 9 else "tab10"](classes % 20)
        for axes, depth in zip(line, depths, strict=True):
            axes.scatter(*found[f"embedded.{depth}"].T, s=2.5, c=colours, linewidths=0, rasterized=True)
            what = f"depth {depth}" if depth else "pixels"
            axes.set_title(
                f"{what}: {100 * float(found[f'same_class.{depth}'][0]):.0f} % of its class", fontsize=8
            )
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(label(arm, 24), fontsize=8)
    return figure
