"""Spiking layers as figures: curves, fields as they form, one image as it is answered, thresholds, and who wins."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neurosim.core.protocols import State
from neurosim.report.forward_forward import arms_of
from neurosim.report.pictures import as_images, mosaic, show_mosaic, weight_bar
from neurosim.report.plots import curves_of
from neurosim.report.spikes import title
from neurosim.report.style import INK, PALETTE, WIDTH_IN, colours, dashes, label, new_figure, styled, tint

Results = dict[str, Any]
Held = dict[str, State]  # pictures of each arm, of its first seed
MOST_COLUMNS = 3
"""Arms beside each other whose answer to one image is shown."""
MOST_ARMS = 6
"""Arms below each other whose fields are shown."""
HEADING_IN, FOOT_IN = 0.55, 0.65
"""Above the fields of an arm, and below all of them, for names and the scale."""
FIELDS = "fields."
FORMING = (
    "Weights of the first neurons as images, from before learning to its end, first seed; each arm on a colour scale of its own, zero in the "
    "middle. Fields that look like parts of the images have learned; fields that are still speckled have not."
)
ANSWERED = (
    "The first test image as each arm answers it, with the same spikes of the inputs; learning and thresholds stand still. "
    "The busiest neurons are coloured, their classes beside them; below, their potentials at the end of each step and their thresholds (dashed)."
)
STEADY = (
    "First seed, neurons sorted, each curve by itself. Thresholds that rise with a neuron's spikes share these out: a "
    "flat curve on the right is a layer whose neurons all take part; what stands at zero there is never heard."
)
WON = (
    "Where a softmax draws the winners: how often each neuron won against what the softmax of its potentials says, summed over "
    "test images, first seed. The band holds 95 % of neurons whose wins are drawn so."
)


@styled
def learning_curves(results: Results) -> Figure | None:
    """Accuracy of the assigned neurons and spikes an image against images seen; None where nothing was followed."""
    runs = {
        arm: [np.array(run["curve"]) for run in own if len(run["curve"]) > 1]
        for arm, own in arms_of(results).items()
    }
    if not any(runs.values()):
        return None
    colour = colours(list(runs))
    figure = new_figure(3.7 + 0.2 * max(0, len(runs) - 8))
    left, right = figure.subplots(1, 2)
    dashed = dashes(list(runs))
    for arm, own in runs.items():
        for axes, curves in (
            (left, [curve[:, :2] for curve in own]),
            (right, [curve[:, [0, 2]] / (1, 100) for curve in own]),
        ):
            drawn = len(axes.lines)
            if own:
                curves_of(axes, curves, colour[arm])
            for line in axes.lines[drawn:]:
                line.set_linestyle(dashed[arm])
    left.set(
        xlabel="Images seen (count, all epochs)", ylabel="Accuracy of assigned neurons (%)", ylim=(0, 100)
    )
    right.set(xlabel="Images seen (count, all epochs)", ylabel="Spikes of all neurons an image")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(5))
    _arms_beside(figure, colour)
    figure.suptitle(label(title(results), 120), fontsize=8.5)
    return figure


def _arms_beside(figure: Figure, colour: dict[str, str]) -> None:
    dashed = dashes(list(colour))
    keys = [
        Line2D([], [], color=own, lw=2, ls=dashed[arm], label=label(arm, 40)) for arm, own in colour.items()
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=min(3, len(keys)))


@styled
def forming_fields(results: Results, held: Held) -> Figure | None:
    """Weights of the first neurons as images, a row an arm, on its own scale, and a column a moment; None: they are no images."""
    shape = tuple(results["data"]["image_shape"])
    rows = {arm: found for arm in held if (found := _moments(held[arm], shape))}
    rows = dict(list(rows.items())[:MOST_ARMS])
    if not rows:
        return None
    shown = [image for found in rows.values() for image in found.values()]
    columns = max(map(len, rows.values()))
    grid = mosaic(shown[0], 0).shape
    wide = 0.92 * WIDTH_IN / columns
    high = wide * grid[0] / grid[1]
    each = high + HEADING_IN
    height = each * len(rows) + FOOT_IN
    figure = new_figure(height, layout=None)
    for row, (arm, found) in enumerate(rows.items()):
        top = height - each * row
        sizes = np.abs(np.concatenate([image.ravel() for image in found.values()]))
        largest = float(np.quantile(sizes, 0.998)) or 1.0
        for column, (images, fields) in enumerate(found.items()):
            place = ((column + 0.04) / columns, (top - each) / height, 0.92 / columns, high / height)
            axes = figure.add_axes(place)
            show_mosaic(axes, fields / largest, 1.0)
            axes.set_title(f"{images:,} images", fontsize=8.5, fontweight="normal", loc="center", pad=3)
        named = f"{label(arm, 60)}: weights up to {largest:.2g}"
        figure.text(0.01, (top - 0.17) / height, named, fontsize=9.5, fontweight="bold", va="center")
    place = (0.3, 0.42 / height, 0.4, 0.1 / height)
    weight_bar(figure, place, 1.0, in_colour=shown[0].ndim == 4, unit="share of the arm's largest")
    return figure


def _moments(pictures: State, shape: tuple[int, ...]) -> dict[int, NDArray[Any]]:
    """Fields (neurons, height, width) of an arm by the images it had seen, in their order; empty where they are no images."""
    kept = {int(name.removeprefix(FIELDS)): w for name, w in pictures.items() if name.startswith(FIELDS)}
    found = {images: as_images(kept[images], shape) for images in sorted(kept)}
    return {images: fields for images, fields in found.items() if fields is not None}


@styled
def one_image(results: Results, held: Held) -> Figure | None:
    """Spikes of inputs and neurons, potentials and thresholds, as some arms answer the same image; None without pictures."""
    arms = [arm for arm in _that_learn(results, held) if "raster" in held[arm]][:MOST_COLUMNS]
    if not arms:
        return None
    figure = new_figure(6.6)
    grid = figure.subplots(3, len(arms), sharex=True, squeeze=False, height_ratios=(3, 2, 2))
    dt_ms = 1e3 * results["config"]["dt_s"]
    for column, arm in zip(grid.T, arms, strict=True):
        _answer(column, held[arm], dt_ms, _spikes_at(results, arm))
        right, given = held[arm]["answered"]
        spiked = (held[arm]["raster"][:, 1] == 1).any()
        said = f"class {right} is taken for {given}" if spiked else f"class {right}, and nobody spikes"
        column[0].set_title(f"{label(arm, 34)}\n{said}", fontsize=8.5)
    for axes, words in zip(grid[:, 0], ("Input", "Neuron", "Potential (mV)"), strict=True):
        axes.set_ylabel(words)
    return figure


def _that_learn(results: Results, held: Held) -> list[str]:
    """Arms with pictures, those that learn first."""
    settings = _settings(results)
    return sorted(held, key=lambda arm: not settings.get(arm, {}).get("learns", True))


def _settings(results: Results) -> dict[str, dict[str, Any]]:
    """Settings of the arms by name: those that are listed, and those on devices as they are filled in."""
    return {arm["name"]: arm for arm in (*results["config"]["arm"], *results["config"]["arms"])}


def _spikes_at(results: Results, arm: str) -> bool:
    """Whether the neurons of an arm spike at thresholds, and not as a softmax draws them."""
    inhibition = _settings(results).get(arm, {}).get("inhibition") or results["config"]["inhibition"]
    return inhibition is None or inhibition["kind"] != "soft"


def _answer(column: NDArray[Any], pictures: State, dt_ms: float, thresholds: bool) -> None:
    inputs, neurons, potentials = column
    raster, busiest, classes = pictures["raster"], pictures["busiest"], pictures["classes"]
    at = dt_ms * (raster[:, 0] + 1)
    came, fired = raster[:, 1] == 0, raster[:, 1] == 1
    inputs.plot(at[came], raster[came, 2], ".", ms=1.6, color="#555555", rasterized=True)
    busy = dict(zip(map(int, busiest), PALETTE, strict=False))
    others = fired & ~np.isin(raster[:, 2], busiest)
    neurons.plot(at[others], raster[others, 2], "|", ms=5, color="#999999")
    time = dt_ms * np.arange(1, len(pictures["potentials"]) + 1)
    for k, (neuron, colour) in enumerate(busy.items()):
        own = fired & (raster[:, 2] == neuron)
        stands_for = f"class {classes[neuron]}" if classes[neuron] >= 0 else "no class"
        neurons.plot(
            at[own], raster[own, 2], "|", ms=9, mew=1.6, color=colour, label=f"{neuron}: {stands_for}"
        )
        potentials.plot(time, pictures["potentials"][:, k], color=colour, lw=1.1)
        if thresholds:
            potentials.axhline(pictures["threshold_mV"][k], color=tint(colour, 0.75), lw=1, ls="--")
    neurons.set_ylim(-1, len(classes))
    neurons.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handlelength=0.8, columnspacing=1.0
    )
    for axes in (inputs, neurons):
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(False)
    potentials.set_xlabel("Time (ms)")


@styled
def steadiness(results: Results, held: Held) -> Figure | None:
    """What the threshold of each neuron has adapted by, and how often each spikes, sorted; None without pictures."""
    known = {arm: own for arm, own in held.items() if "raised_mV" in own}
    if not known:
        return None
    colour = colours(list(arms_of(results)))
    figure = new_figure(3.5)
    left, right = figure.subplots(1, 2)
    for axes, name in ((left, "raised_mV"), (right, "spikes_an_image")):
        for arm, own in known.items():
            values = np.sort(own[name])[::-1]
            axes.plot(np.arange(1, len(values) + 1), values, color=colour[arm], lw=1.6)
        axes.set_xlabel("Neuron, sorted")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    left.set(title="Thresholds at the end", ylabel="Adapted by (mV)")
    right.set(title="Spikes", ylabel="Spikes a test image")
    _arms_beside(figure, {arm: colour[arm] for arm in known})
    return figure


@styled
def wins(results: Results, held: Held) -> Figure | None:
    """How often each neuron won against what its softmax says; None where no arm draws its winners so."""
    known = {arm: own for arm, own in held.items() if "wins" in own}
    if not known:
        return None
    columns = min(3, len(known))
    rows = -(-len(known) // columns)
    figure = new_figure(0.4 + 3.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    colour = colours(list(arms_of(results)))
    for axes, (arm, own) in zip(panels, known.items(), strict=False):
        _won(axes, own, colour[arm])
        axes.set_title(label(arm, 34), fontsize=9)
    for axes in panels[len(known) :]:
        axes.remove()
    return figure


def _won(axes: Axes, own: State, colour: str) -> None:
    most = max(float(own["expected_wins"].max()), float(own["wins"].max()), 1.0)
    line = np.linspace(0, 1.05 * most, 100)
    axes.fill_between(
        line, np.maximum(line - 1.96 * np.sqrt(line), 0), line + 1.96 * np.sqrt(line), color="#e4e4e4", lw=0
    )
    axes.plot(line, line, color=INK, lw=1)
    axes.plot(own["expected_wins"], own["wins"], "o", ms=3.5, mfc="none", color=colour)
    axes.set(xlabel="Wins as the softmax says", ylabel="Wins", xlim=(0, 1.05 * most))
    axes.set_ylim(bottom=0)
