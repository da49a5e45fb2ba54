"""Figures of a comparison: accuracy, gap to ideal, learning curves, energy. Each returns a `Figure`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from neurosim.report.results import ArmSummary, Results
from neurosim.report.style import (
    IDEAL_COLOUR,
    INK,
    colours,
    label,
    name_rows,
    new_figure,
    row_height,
    styled,
    tint,
    write_beside,
)
from neurosim.report.text import common_prefix, percent, si
from neurosim.study.arm import IDEAL

SCORES = {"accuracy": "Linear readout", "vote": "Vote of the winning neuron"}
DEVICE_PARTS = {"write": "learning pulses", "refresh": "refresh", "readback": "read-back for decay and norms"}
PART_COLOURS = {"write": "#0072B2", "refresh": "#E69F00", "readback": "#56B4E9"}
PERIPHERY_COLOUR = "#BBBBBB"
CROWDED = 5
"""With more device arms than this, each gets a panel of learning curves of its own."""


@styled
def accuracy_bars(results: Results) -> Figure:
    """Accuracy of readout and vote for every arm, with 95 % intervals, before and after learning."""
    arms = results.summary
    figure = new_figure(row_height(len(arms)) + 0.25)
    figure.suptitle(f"Accuracy on the {label(results.data.where, 90)}", fontsize=11)
    for axes, (score, title) in zip(figure.subplots(1, 2, sharey=True), SCORES.items(), strict=True):
        _bars_of(axes, arms, score)
        axes.set(title=title, xlabel="Accuracy (%)", xlim=(0, 100))
        for baseline in results.baselines:
            axes.axvline(100 * baseline.accuracy, color=INK, ls="--", lw=1.2)
        name_rows(axes, [arm.arm for arm in arms])
        write_beside(axes, [percent(getattr(arm, f"{score}_mean")) for arm in arms])
    figure.legend(handles=_accuracy_keys(results), loc="outside lower center", ncols=4)
    return figure


def _bars_of(axes: Axes, arms: Sequence[ArmSummary], score: str) -> None:
    colour = colours([arm.arm for arm in arms])
    for row, arm in enumerate(arms):
        mean = getattr(arm, f"{score}_mean")
        axes.barh(
            row, 100 * mean, 0.66, color=tint(colour[arm.arm]), edgecolor=colour[arm.arm], linewidth=1.0
        )
        low, high = getattr(arm, f"{score}_interval")
        axes.errorbar(
            100 * mean, row, xerr=[[100 * max(0, mean - low)], [100 * max(0, high - mean)]],
            color=INK, capsize=3, lw=1.2,
        )  # fmt: skip
        before = getattr(arm, f"untrained_{score}_mean")
        axes.plot(100 * before, row, "D", mfc="white", mec=INK, mew=1.1, ms=5.5, zorder=5)


def _accuracy_keys(results: Results) -> list[Line2D | Patch]:
    return [
        Patch(facecolor="#cccccc", edgecolor="#777777", label="trained"),
        Line2D([], [], color=INK, marker="|", ms=7, lw=1.2, label="95 % interval"),
        Line2D([], [], ls="", marker="D", mfc="white", mec=INK, label="same array before learning"),
        *(
            Line2D([], [], color=INK, ls="--", lw=1.2, label=label(f"linear classifier on {b.name}", 50))
            for b in results.baselines
        ),
    ]


@styled
def gap_points(results: Results) -> Figure | None:
    """Gap to ideal of every device arm, paired by seed; None if there is only the ideal arm."""
    arms = results.device_arms
    if not arms:
        return None
    colour = colours([arm.arm for arm in results.summary])
    figure = new_figure(row_height(len(arms)))
    figure.suptitle(f"Accuracy lost against ideal arithmetic, {label(results.data.where, 80)}", fontsize=11)
    keys = {
        "accuracy": ("gap_to_ideal_mean", "gap_interval"),
        "vote": ("vote_gap_to_ideal_mean", "vote_gap_interval"),
    }
    for axes, (score, title) in zip(figure.subplots(1, 2, sharey=True), SCORES.items(), strict=True):
        for row, arm in enumerate(arms):
            gap, interval = (getattr(arm, key) for key in keys[score])
            if interval:
                ends = 100 * np.array(interval)
                axes.plot(ends, [row, row], color=colour[arm.arm], lw=2, marker="|", ms=8)
            axes.plot(100 * gap, row, "o", mfc="white", mec=colour[arm.arm], mew=1.6, ms=5.5)
        axes.axvline(0, color=IDEAL_COLOUR, lw=1.2)
        axes.set(title=title, xlabel="Gap to ideal (percentage points)")
        name_rows(axes, [arm.arm for arm in arms])
        write_beside(axes, [percent(getattr(arm, keys[score][0])) for arm in arms])
    return figure


@styled
def learning_curves(results: Results) -> Figure | None:
    """Vote accuracy against images seen: mean over seeds, thin lines a seed; None without curves."""
    arms = [arm.arm for arm in results.summary if any(_curves(results, arm.arm))]
    if not arms:
        return None
    devices = [arm for arm in arms if arm != IDEAL]
    figure = _crowd_of_curves(results, arms) if len(devices) > CROWDED else _all_curves(results, arms)
    figure.suptitle(f"Learning curves, training images of {label(results.data.note, 80)}", fontsize=11)
    return figure


def _all_curves(results: Results, arms: list[str]) -> Figure:
    figure = new_figure(3.7)
    axes = figure.subplots()
    colour = colours([arm.arm for arm in results.summary])
    for arm in arms:
        curves_of(axes, _curves(results, arm), colour[arm])
    axes.set(xlabel="Images seen (count, all epochs)", ylabel="Vote accuracy (%)")
    keys = [Line2D([], [], color=colour[arm], lw=2, label=label(arm)) for arm in arms]
    figure.legend(handles=keys, loc="outside right upper")
    return figure


def _crowd_of_curves(results: Results, arms: list[str]) -> Figure:
    devices = [arm for arm in arms if arm != IDEAL]
    columns = 4
    rows = -(-len(devices) // columns)
    figure = new_figure(0.7 + 1.75 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    colour = colours([arm.arm for arm in results.summary])
    for axes, arm in zip(panels, devices, strict=False):
        if IDEAL in arms:
            curves_of(axes, _curves(results, IDEAL), IDEAL_COLOUR, seeds=False)
        curves_of(axes, _curves(results, arm), colour[arm])
        axes.set_title(label(arm, 26), fontsize=8.5)
        axes.tick_params(labelsize=8)
    for axes in panels[max(0, len(devices) - columns) : len(devices)]:
        axes.tick_params(labelbottom=True)
    for axes in panels[len(devices) :]:
        axes.remove()
    figure.supxlabel("Images seen (count, all epochs)", fontsize=9)
    figure.supylabel("Vote accuracy (%), ideal in black", fontsize=9)
    return figure


def curves_of(axes: Axes, curves: Iterable[Any], colour: str, seeds: bool = True) -> None:
    """Draw shares against images in percent, curves of (images, share) points: the mean thick, each seed thin."""
    lines = [np.array(curve) for curve in curves if len(curve)]
    if seeds and len(lines) > 1:
        for line in lines:
            axes.plot(line[:, 0], 100 * line[:, 1], color=colour, lw=0.7, alpha=0.5)
    alike = [line for line in lines if line.shape == lines[0].shape]
    mean = np.mean(alike, axis=0)
    axes.plot(mean[:, 0], 100 * mean[:, 1], color=colour, lw=2)


def _curves(results: Results, arm: str) -> list[tuple[tuple[float, float], ...]]:
    return [run.curve for run in results.runs if run.arm == arm]


@styled
def energy_bars(results: Results) -> Figure | None:
    """Energy per update and synapse: what the devices take, and with the periphery; None without devices.

    Arms whose pulses have no price are left out.
    """
    arms = [arm for arm in results.summary if arm.energy and arm.energy.known]
    if not arms:
        return None
    figure = new_figure(row_height(len(arms)) + 0.25)
    figure.suptitle("Energy of learning, per update and synapse", fontsize=11)
    left, right = figure.subplots(1, 2, sharey=True)
    parts = {name: [arm.energy.per_synapse(name) for arm in arms if arm.energy] for name in DEVICE_PARTS}
    device = [arm.energy.update_J_per_synapse for arm in arms if arm.energy]
    periphery = [arm.energy.periphery_per_synapse for arm in arms if arm.energy]
    whole = [arm.energy.update_J_per_synapse_with_periphery for arm in arms if arm.energy]
    _stack(left, list(parts.values()), list(PART_COLOURS.values()), device)
    left.set(title="Devices alone", xlabel=_energy_label("Energy", device))
    _stack(right, [*parts.values(), periphery], [*PART_COLOURS.values(), PERIPHERY_COLOUR], whole)
    right.set(title="With periphery (lower bound)", xlabel=_energy_label("Energy", whole))
    name_rows(left, [arm.arm for arm in arms])
    name_rows(right, [arm.arm for arm in arms])
    figure.legend(handles=_energy_keys(parts), loc="outside lower center", ncols=4)
    return figure


def _stack(
    axes: Axes, parts: Sequence[Sequence[float]], part_colours: Sequence[str], totals: Sequence[float]
) -> None:
    scale, _ = common_prefix(totals)
    start = np.zeros(len(totals))
    for values, colour in zip(parts, part_colours, strict=True):
        width = np.array(values) / scale
        axes.barh(np.arange(len(totals)), width, 0.66, left=start, color=colour)
        start = start + width
    axes.set_xlim(0, 1.02 * max(float(start.max()), 1e-12))
    write_beside(axes, [si(total, "J") for total in totals])


def _energy_label(name: str, values: Sequence[float]) -> str:
    return f"{name} ({common_prefix(values)[1]}J per update and synapse)"


def _energy_keys(parts: dict[str, list[float]]) -> list[Patch]:
    keys = [
        Patch(color=PART_COLOURS[name], label=f"devices: {DEVICE_PARTS[name]}")
        for name, values in parts.items()
        if any(values)
    ]
    return [*keys, Patch(color=PERIPHERY_COLOUR, label="periphery")]
