"""Figures of bills: where joules go, and what accuracy costs in joules and in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from neurosim.energy.bill import Line
from neurosim.report.style import IDEAL_COLOUR, MARKERS, PALETTE, label, new_figure, styled
from neurosim.study.priced import Cost, Priced, front

PARTS = {
    "device": ("devices", PALETTE[1]),
    "periphery": ("converters and lines", PALETTE[0]),
    "digital": ("digital products and sums", PALETTE[2]),
    "memory": ("memory of accumulators and filters", PALETTE[4]),
}
"""What a bar is made of, and its colour."""
NAMED = 7
"""Names of points that are written beside them; the others are in the table."""


@styled
def energy_bars(found: Sequence[Priced]) -> Figure:
    """Where the joules go: a bar for each arm and price list, on one logarithmic axis a part."""
    names = [f"{label(each.name, 34)}\n{label(each.bill.prices, 34)}" for each in found]
    figure = new_figure(1.4 + 0.62 * len(found))
    axes, shares = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    places = range(len(found))
    for place, each in zip(places, found, strict=True):
        bill, samples = (each.bill.learnt(), each.samples) if each.samples else (each.bill, 1)
        total, low, high = (end / samples for end in bill.total())
        axes.barh(place, total, 0.62, color="#b8b8b8")
        axes.plot([low, high], [place, place], color="#222222", lw=1.4, marker="|", ms=8)
        said = " pulses not priced\n" if bill.absent else ""
        said += f" {100 * bill.assumed_share:.0f} % assumed"
        if bill.unranged_share >= 0.005:
            said += f",\n {100 * bill.unranged_share:.0f} % without a range"
        axes.annotate(said, (max(high, total), place), va="center", fontsize=8)
        start = 0.0
        for kind, (_, colour) in PARTS.items():
            part = 100 * bill.total(lambda line, kind=kind: _part(line) == kind)[0] / (bill.joules or 1)  # type: ignore[misc]
            shares.barh(place, part, 0.62, left=start, color=colour)
            start += part
    ends = [
        end / (each.samples or 1)
        for each in found
        for end in (each.bill.learnt() if each.samples else each.bill).total()
    ]
    above = [end for end in ends if end > 0] or [1e-12]
    axes.set_xscale("log")
    axes.set_xlim(min(above) / 3, max(above) * 30)
    axes.set_yticks(list(places), names)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.grid(False, axis="y")
    shares.grid(False, axis="y")
    axes.set_xlabel(
        "Joules with periphery"
        + (" a sample, start programming left out" if found[0].samples else " of the training")
    )
    axes.set_title("Total, with its known range")
    shares.set_xlabel("Share of the joules (%)")
    shares.set_xlim(0, 100)
    shares.set_title("Where they go")
    for words, colour in PARTS.values():
        shares.barh([0], [0], color=colour, label=words)
    figure.legend(*shares.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _part(line: Line) -> str:
    return "memory" if line.what == "memory" else line.kind


@styled
def tradeoff(found: Sequence[Priced]) -> Figure | None:
    """Errors against joules and against seconds of one sample, an arm a point, one price list; None without accuracies.

    Colours are devices, markers the ways to write (what the arm's name says beside the device); lines join those that
    nothing beats. Arms whose pulses have no price are left out.
    """
    prices = found[0].bill.prices
    shown = [
        each
        for each in found
        if each.accuracy is not None and each.bill.prices == prices and not each.bill.absent
    ]
    if len(shown) < 2:
        return None
    devices = {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(dict.fromkeys(map(_device, shown)))}
    ways = {name: MARKERS[k % len(MARKERS)] for k, name in enumerate(dict.fromkeys(map(_way, shown)))}
    timed = all(each.samples and not each.times.not_timed for each in shown)
    figure = new_figure(4.6)
    panels = figure.subplots(1, 2 if timed else 1, sharey=True, squeeze=False)[0]
    costs: tuple[Cost, ...] = ("joules", "seconds")
    for panel, by in zip(panels, costs, strict=False):
        for each in shown:
            value, low, high = _range(each, by)
            colour = devices[_device(each)]
            panel.plot([low, high], [_error(each)] * 2, color=colour, lw=0.8, alpha=0.45)
            panel.plot(value, _error(each), ways[_way(each)], color=colour, ms=6)
        best = sorted(front(shown, by), key=lambda each: _range(each, by)[0])
        panel.plot(
            [_range(each, by)[0] for each in best], [_error(each) for each in best], color=IDEAL_COLOUR,
            lw=1, ls=":", drawstyle="steps-post", zorder=0,
        )  # fmt: skip
        panel.set_xscale("log")
        unit = " a sample" if shown[0].samples else " of the training"
        cost = "Joules with periphery" if by == "joules" else "Seconds"
        panel.set_xlabel(f"{cost}{unit}, prices {label(prices)}")
    panels[0].set_yscale("log")
    panels[0].invert_yaxis()
    panels[0].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panels[0].yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    panels[0].set_ylabel("Error (%), better is up")
    panels[0].set_title("What accuracy costs; lines: known ranges")
    if timed:
        panels[1].set_title("What it takes in array and digital time")
    handles: list[Any] = [
        panels[0].plot([], [], "o", color=colour, label=label(name, 30))[0]
        for name, colour in devices.items()
    ]
    if len(ways) > 1:
        handles += [
            panels[0].plot([], [], marker, color="#888888", label=label(name, 30))[0]
            for name, marker in ways.items()
        ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _error(each: Priced) -> float:
    """Wrong answers in per cent; a hundredth where there are none, for an axis that has no zero."""
    return max(100 * (1 - (each.accuracy or 0)), 0.01)


def _device(each: Priced) -> str:
    return each.device


def _way(each: Priced) -> str:
    """What an arm's name says beside its device, "device: way", and the levels of a sweep."""
    _, _, way = each.arm.partition(": ")
    levels = [f"{field.rpartition('.')[2]} {level}" for field, level in each.levels.items()]
    return ", ".join([*([way] if way else []), *levels])


def _range(each: Priced, by: Cost) -> tuple[float, float, float]:
    """Joules or seconds of a sample, or of the training, with low and high."""
    bill, samples = (each.bill.learnt(), each.samples) if each.samples else (each.bill, 1)
    if by == "joules":
        value, low, high = bill.total()
        return value / samples, low / samples, high / samples
    total, low, high = each.times.total()
    once = each.times.seconds - each.times.learning_s
    return (total - once) / samples, (low - once) / samples, (high - once) / samples
