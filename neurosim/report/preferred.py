"""What drives the neurons of each depth most, as a figure: images found by ascent, and patches of real ones beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurosim.core.protocols import State
from neurosim.report.pictures import mosaic, show_mosaic
from neurosim.report.style import WIDTH_IN, label, new_figure, styled

PREFERRED, PATCHES = "preferred.", "patches."
"""Before the depth, in names of pictures."""
MOST_ROWS = 12
SHARE = 99.5
"""Percentile of the values of an image at which its colours end."""
EXPLAINED = (
    "First seed, the first neurons of each depth, each at the same place left and right. Left: the image that drives a neuron at the "
    "middle of its layer most, of all with the same contrast, found by gradient ascent on the weights as they are stored; white (grey, in "
    "colour) is the mean. Right: of all reported-on images the patch that drives it most, in its own colours; black where the image ends."
)


@styled
def preferred_images(results: dict[str, Any], held: dict[str, State]) -> Figure | None:
    """Draw a row for each arm and depth; None where nothing was kept."""
    rows = [
        (arm, depth, found)
        for arm, found in held.items()
        for depth in range(1, 100)
        if f"{PREFERRED}{depth}" in found
    ][:MOST_ROWS]
    if not rows:
        return None
    lines = -(-len(rows) // 2)
    figure = new_figure(0.45 + 0.26 * WIDTH_IN * lines)
    panels = figure.subplots(lines, 4, squeeze=False).reshape(-1, 2)
    for axes in panels[len(rows) :].ravel():
        axes.remove()
    for (left, right), (arm, depth, found) in zip(panels, rows, strict=False):
        fields = np.stack([_scaled(each) for each in _shown(found[f"{PREFERRED}{depth}"])])
        show_mosaic(left, fields, 1.0)
        patches = _shown(found[f"{PATCHES}{depth}"][:, 0])
        if patches.ndim == 4:
            show_mosaic(right, 2 * patches - 1, 1.0)
        else:
            right.imshow(mosaic(patches, 1.0), cmap="gray", interpolation="none")
            right.set_axis_off()
        left.set_title(f"{label(arm, 18)}, depth {depth}", fontsize=8.5)
        right.set_title("its patches", fontsize=8.5)
    return figure


def _shown(images: NDArray[Any]) -> NDArray[Any]:
    """Images in three colours as they are, of other channels their mean."""
    return images if images.shape[-1] == 3 else images.mean(axis=-1)


def _scaled(image: NDArray[Any]) -> NDArray[Any]:
    return image / max(float(np.percentile(np.abs(image), SHARE)), 1e-9)
