"""Figures of what an array holds: receptive fields and conductances, before and after learning."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from neurosim.core.protocols import State
from neurosim.report.style import colours, label, new_figure, styled

MOST_FIELDS = 36
SHADES = 31
"""Colours are rounded to so many, which halves the size of the picture and cannot be seen."""
COLOUR_MAP, CHANNEL_MAP = colormaps["RdBu_r"].resampled(SHADES), colormaps["gray"]
MOMENTS = ("before", "after")


def fields_that_fit(image_shape: tuple[int, ...], arms: int, budget: int = 1_400_000) -> int:
    """Return how many fields an arm (a square number, 4 to 36) may show for the report to stay small."""
    height, width, channels = image_shape if len(image_shape) == 3 else (1, *image_shape, 1)
    per_field = 2 * max(1, arms) * (height + 1) * (width + 1) * (3 if channels == 3 else 1.8)
    side = int(np.sqrt(budget / per_field))
    return min(max(side, 2), 6) ** 2


@styled
def receptive_fields(
    arm: str, pictures: State, image_shape: tuple[int, ...], most: int = MOST_FIELDS
) -> Figure | None:
    """Weights of the first neurons as images before and after learning, on one scale, that of "after".

    None if the weights are missing or do not have the shape of the images.
    """
    weights = [pictures.get(f"{moment}.weights") for moment in MOMENTS]
    images = [as_images(w, image_shape) for w in weights if w is not None]
    if len(images) < 2 or any(image is None or not len(image) for image in images):
        return None
    shown = [image[:most] for image in images if image is not None]
    largest = float(np.quantile(np.abs(shown[1]), 0.998)) or float(np.abs(shown[0]).max()) or 1.0
    figure = new_figure(3.05, 4.7, layout=None)
    for left, moment, fields in zip((0.02, 0.52), MOMENTS, shown, strict=True):
        axes = figure.add_axes((left, 0.18, 0.46, 0.71))
        show_mosaic(axes, fields, largest)
        axes.set_title(f"{moment} learning", fontsize=9, fontweight="normal", loc="center", pad=3)
    figure.suptitle(label(arm, 50), fontsize=10, fontweight="bold", y=0.99)
    weight_bar(figure, (0.12, 0.135, 0.76, 0.03), largest, in_colour=shown[0].ndim == 4)
    return figure


def weight_bar(
    figure: Figure,
    place: tuple[float, float, float, float],
    largest: float,
    in_colour: bool,
    unit: str = "weight units",
) -> None:
    """Draw the scale of weights at a place in the figure (left, bottom, width, height)."""
    scale = ScalarMappable(Normalize(-largest, largest), CHANNEL_MAP if in_colour else COLOUR_MAP)
    bar = figure.colorbar(scale, cax=figure.add_axes(place), orientation="horizontal", extend="both")
    bar.set_label(f"Weight{' of each colour channel' if in_colour else ''} ({unit})", fontsize=8, labelpad=1)
    bar.ax.tick_params(labelsize=8, pad=1.5, length=2)


def as_images(weights: NDArray[Any], image_shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return (rows, neurons) weights as (neurons, height, width) or, in colour, (..., 3) images; None: they are none."""
    height, width = image_shape[:2] if len(image_shape) == 3 else (0, 0)
    rows, neurons = weights.shape
    if not height or rows % (height * width):
        return None
    images = weights.T.reshape(neurons, height, width, rows // (height * width))
    return images if images.shape[-1] == 3 else images.mean(axis=-1)


def mosaic(fields: NDArray[Any], gap: float) -> NDArray[Any]:
    """Return fields in a square grid, one pixel of `gap` between them."""
    side = int(np.ceil(np.sqrt(len(fields))))
    height, width = fields.shape[1:3]
    rows = -(-len(fields) // side)
    grid = np.full((rows * (height + 1) - 1, side * (width + 1) - 1, *fields.shape[3:]), gap, np.float32)
    for place, field in enumerate(fields):
        top, left = (height + 1) * (place // side), (width + 1) * (place % side)
        grid[top : top + height, left : left + width] = field
    return grid


def show_mosaic(axes: Axes, fields: NDArray[Any], largest: float) -> None:
    """Show fields in a square grid, zero in the middle of the colours."""
    if fields.ndim == 4:
        bright = np.clip(0.5 + 0.5 * fields / largest, 0, 1)
        axes.imshow(mosaic(np.round(bright * SHADES) / SHADES, 1.0), interpolation="none")
    else:
        axes.imshow(
            mosaic(fields, np.nan), cmap=COLOUR_MAP, vmin=-largest, vmax=largest, interpolation="none"
        )
    axes.set_axis_off()


@styled
def conductance_histograms(pictures: dict[str, State], arms: list[str]) -> Figure | None:
    """How many cells stand at which conductance before and after learning; None without device arms."""
    known = {arm: p for arm, p in pictures.items() if "before.histogram" in p and "after.histogram" in p}
    if not known:
        return None
    columns = min(3, len(known))
    rows = -(-len(known) // columns)
    figure = new_figure(0.75 + 1.95 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    colour = colours(arms)
    for axes, (arm, found) in zip(panels, known.items(), strict=False):
        _histogram(axes, found, colour[arm])
        axes.set_title(label(arm, 34), fontsize=9)
    for axes in panels[len(known) :]:
        axes.remove()
    figure.suptitle("Conductances of all cells: grey before, coloured line after learning", fontsize=11)
    return figure


def _histogram(axes: Axes, found: State, colour: str) -> None:
    density = {m: found[f"{m}.histogram"] / np.diff(found[f"{m}.edges_uS"]) for m in MOMENTS}
    positive = np.concatenate([d[d > 0] for d in density.values()])
    floor = 0.5 * float(positive.min()) if len(positive) else 0.5
    before, after = (np.maximum(density[m], floor) for m in MOMENTS)
    axes.stairs(before, found["before.edges_uS"], baseline=floor, fill=True, color="#c4c4c4")
    axes.stairs(after, found["after.edges_uS"], baseline=floor, color=colour, lw=1.5)
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=floor)
    axes.set(xlabel="Conductance (µS)", ylabel="Cells (count per µS)")
