"""One page about a device: what pulses, programming, time and reads do to it. Returns a `Figure`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from neurosim.core.errors import ConfigError
from neurosim.core.protocols import Device
from neurosim.devices.card import Card, find
from neurosim.devices.law import Law
from neurosim.devices.response import programmed, pulse_response
from neurosim.report.device_table import on_off_words, states, states_words, window_words
from neurosim.report.style import INK, PALETTE, SAVERS, label, new_figure, styled, tint
from neurosim.report.text import MINUS, common_prefix, number, si, significant
from neurosim.study.store import whole_file

UP, DOWN = PALETTE[:2]
GREY = "#a0a0a0"
EXAMPLES = 20
FEWEST_PULSES, MOST_PULSES = 10, 15_000
MOST_SAMPLES = 6_000_000
"""Pulses times devices of one sheet; finer devices are shown with fewer devices."""
MOST_POINTS = 300
"""Points of a drawn trace."""
MOST_STEPS = 40
"""Points of the curve of steps; more pulses than this are taken together."""
LEVELS = 8
YEAR_S = 365.25 * 86400
TIMES = {"1 µs": 1e-6, "1 ms": 1e-3, "1 s": 1.0, "1 min": 60.0, "1 h": 3600.0,
         "1 d": 86400.0, "30 d": 30 * 86400.0, "1 y": YEAR_S}  # fmt: skip


class Sweep(NamedTuple):
    """Traces of many devices through the window and back."""

    pulses: list[int]
    """All pulses, those before the first shown one included."""
    unseen: int
    """Pulses that first bring a bipolar device to the lower end."""
    up: int
    """Shown SET pulses before the first RESET."""
    traces: NDArray[np.float32]
    """(shown pulses + 1, devices), uS."""


def sweep(device: Law, n_devices: int = 1000, seed: int = 0) -> Sweep:
    """Drive fresh devices through the window and back, recorded after each pulse.

    A bipolar device is first brought to its lower end, then given 1.5 times as many pulses as it has states
    upwards and as many downwards. A SET-only device is RESET when fresh: pulses upwards, one RESET, a few
    more upwards.
    """
    wanted = int(np.ceil(1.5 * (states(device) or 0)))
    count = min(max(wanted, FEWEST_PULSES), MOST_PULSES)
    unseen = count if device.steps_down else 0
    back = [-1] * count if device.steps_down else [-1] + [1] * (count // 3)
    pulses = [-1] * unseen + [1] * count + back
    fewer = min(n_devices, max(EXAMPLES, MOST_SAMPLES // len(pulses)))
    return Sweep(pulses, unseen, count, pulse_response(device, pulses, fewer, seed)[unseen:])


@styled
def device_sheet(card: Card | str | Path, n_devices: int = 1000, seed: int = 0) -> Figure:
    """Draw what pulses, closed-loop programming, time and reads do to a device.

    Parameters
    ----------
    card : Card, str or path
        Card, name of a card or card file.
    n_devices : int
        Devices behind every mean and spread, each with its own draws.
    seed : int
        Same seed, same figure.

    Returns
    -------
    figure : matplotlib Figure
        Six panels: traces, steps, programming error, programmed levels, read noise, drift.

    Raises
    ------
    UnknownNameError
        If there is no card of that name.
    ConfigError
        If the card is wrong.
    """
    card = card if isinstance(card, Card) else find(card)
    device = card.device()
    figure = new_figure(10.0, 8.6, layout=None)
    _header(figure, card, device)
    panels = figure.subplots(
        3, 2, gridspec_kw={"left": 0.09, "right": 0.905, "bottom": 0.055, "top": 0.825, "hspace": 0.62, "wspace": 0.26}
    )  # fmt: skip
    (traces, steps), (error, levels), (noise, drift) = panels
    found = sweep(device, n_devices, seed)
    _traces(traces, device, found)
    _steps(steps, device, found)
    _programming_error(error, device, n_devices, seed)
    _levels(levels, device, n_devices, seed)
    _drift(drift, device, n_devices, seed)
    _read_noise(noise, device)
    return figure


def check_figure_name(out: Path) -> None:
    """Raise `ConfigError` unless the name ends as a figure's does."""
    if out.suffix.lower() not in SAVERS:
        raise ConfigError(f"--out {out}: expected a name that ends in {', '.join(SAVERS)}")


def write_sheet(card: Card, out: Path) -> Path:
    """Draw a card into a whole file of the kind that its name ends in, and return its path.

    Raises
    ------
    ConfigError
        If the name does not end in .svg, .png or .pdf.
    OutputError
        If the file cannot be written.
    """
    check_figure_name(out)
    picture = SAVERS[out.suffix.lower()](device_sheet(card))
    with whole_file(out) as stream:
        stream.write(picture)
    return out


def _header(figure: Figure, card: Card, device: Law) -> None:
    figure.suptitle(
        label(card.name, 60), x=0.03, y=0.985, ha="left", va="top", fontsize=14, fontweight="bold"
    )
    pulses = "up and down step by step" if device.steps_down else "SET step by step, abrupt RESET"
    step = si(device.nominal_step_uS * 1e-6, "S")
    facts = (
        f"window {window_words(device)}",
        f"{states_words(device)} states (nominal steps of {step})",
        f"on/off {on_off_words(device)}",
    )
    lines = [
        "  ·  ".join((label(card.technology, 60), f"law {label(card.law)}", pulses)),
        "  ·  ".join(facts),
        *wrap(label(card.citation, 250), 128),
    ]
    figure.text(0.03, 0.955, "\n".join(lines), va="top", ha="left", fontsize=8.7, color=INK, linespacing=1.45)


def _name(axes: Axes, title: str, x: str = "", y: str = "", keys: Sequence[Artist] = ()) -> None:
    """Title and legend above a panel, where neither covers data."""
    axes.set_title(title, pad=19)
    axes.set(xlabel=x, ylabel=y)
    if keys:
        axes.legend(
            handles=list(keys), loc="lower left", bbox_to_anchor=(-0.01, 0.985), ncols=len(keys),
            borderpad=0.1, borderaxespad=0, handlelength=1.4, columnspacing=1.1, handletextpad=0.5, fontsize=8,
        )  # fmt: skip


def _say(axes: Axes, title: str, words: str) -> None:
    """Words in place of a curve, for an effect that a device has not."""
    axes.set_title(title, pad=19)
    axes.set(xticks=[], yticks=[], facecolor="#f6f6f6")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color="#555555")


def _note(axes: Axes, words: str, x: float = 0.98, y: float = 0.96) -> None:
    """A remark in a corner of a panel."""
    axes.text(
        x, y, words, transform=axes.transAxes, fontsize=8, color=INK, va="top" if y > 0.5 else "bottom",
        ha="right" if x > 0.5 else "left",
    )  # fmt: skip


def _line(colour: str, name: str, style: str = "-") -> Line2D:
    return Line2D([], [], color=colour, lw=1.8 if style == "-" else 1.1, ls=style, label=name)


def _band(colour: str, name: str) -> Patch:
    return Patch(color=tint(colour, 0.3), lw=0, label=name)


def _traces(axes: Axes, device: Law, found: Sweep) -> None:
    last, count = len(found.traces) - 1, found.traces.shape[1]
    stride = -(-last // MOST_POINTS)
    shown = np.union1d(np.arange(0, last + 1, stride), [found.up, min(found.up + 1, last), last])
    traces = found.traces[shown]
    mean, sigma = traces.mean(axis=1, dtype=float), traces.std(axis=1, dtype=float)
    axes.axvspan(found.up, last, color="#f4f4f4", lw=0)
    axes.fill_between(shown, mean - sigma, mean + sigma, color=tint(UP, 0.3), lw=0)
    axes.plot(shown, traces[:, :EXAMPLES], color=GREY, lw=0.5)
    for edge in (mean - sigma, mean + sigma):
        axes.plot(shown, edge, color=UP, lw=0.7)
    axes.plot(shown, mean, color=UP, lw=1.8, label="mean")
    for end in (device.g_min_uS, device.g_max_uS):
        axes.axhline(end, color=INK, ls=":", lw=0.9)
    axes.set_xlim(0, last)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    below, above = axes.get_ylim()
    axes.set_ylim(max(below, -0.04 * device.g_max_uS), above)
    bipolar = device.steps_down
    title = f"{found.up:,} pulses up, {last - found.up:,} down" if bipolar else (
        f"{found.up:,} SET pulses, one RESET, {last - found.up - 1:,} SET"
    )  # fmt: skip
    keys: list[Artist] = [
        Line2D([], [], color=GREY, lw=0.9, label=f"{min(EXAMPLES, count)} devices"),
        _line(UP, f"mean of {count:,}"),
        _band(UP, "±σ"),
        _line(INK, "window", ":"),
    ]
    _name(axes, title, "Pulses (count)", "Conductance (µS)", keys)
    crossed = found.up / max(1.0, states(device) or 1.0)
    if crossed < 1:
        _note(axes, f"{found.up:,} pulses are {significant(100 * crossed)} % of the window", y=0.9)


def step_curve(branch: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return rows (G, mean step, its standard deviation), all in uS, along traces (pulses + 1, devices).

    Every row averages over all devices at the same pulses, so noise of one reading does not tilt the curve.
    """
    pulses = len(branch) - 1
    edges = np.unique(np.linspace(0, pulses, min(pulses, MOST_STEPS) + 1).astype(int))
    rows = []
    for first, last in pairwise(edges):
        steps = np.diff(branch[first : last + 1].astype(float), axis=0)
        rows.append((branch[first:last].mean(dtype=float), steps.mean(), steps.std()))
    return np.array(rows)


def _steps(axes: Axes, device: Law, found: Sweep) -> None:
    curves = {UP: step_curve(found.traces[: found.up + 1])}
    if device.steps_down:
        curves[DOWN] = step_curve(found.traces[found.up :])
    largest = max(device.nominal_step_uS, *(float(np.abs(curve[:, 1]).max()) for curve in curves.values()))
    noise = max(float(np.median(curve[:, 2])) for curve in curves.values())
    drowned = noise > 4 * largest
    scale, prefix = common_prefix([1e-6 * (largest if drowned else largest + noise)])
    scale *= 1e6
    for colour, curve in curves.items():
        at, mean, sigma = curve.T
        axes.plot(at, mean / scale, color=colour, lw=1.8, marker="o", ms=2.6)
        if not drowned:
            low, high = (mean - sigma) / scale, (mean + sigma) / scale
            axes.fill_between(at, low, high, color=colour, alpha=0.2, lw=0)
        sign = 1 if colour == UP else -1
        axes.axhline(sign * device.nominal_step_uS / scale, color=INK, ls="--", lw=1.0)
    axes.axhline(0, color="#888888", lw=0.8)
    axes.set_xlim(*_window(device))
    keys: list[Artist] = [_line(colour, name) for colour, name in zip(curves, ("up", "down"), strict=False)]
    if drowned:
        times = noise / device.nominal_step_uS
        _note(axes, f"σ of one pulse {si(1e-6 * noise, 'S', 2)}, {times:,.0f} nominal steps: off the scale")
        axes.set_ylim(-1.45 * largest / scale, 1.45 * largest / scale)
    else:
        keys.append(Patch(color="#cccccc", lw=0, label="±σ"))
    if len(curves) == 1:
        before, after = (found.traces[k].mean(dtype=float) for k in (found.up, found.up + 1))
        _note(axes, f"RESET is abrupt: mean from {significant(before)} to {significant(after)} µS")
    keys.append(_line(INK, "nominal step", "--"))
    _name(axes, "Change of one pulse", "Conductance (µS)", f"ΔG ({prefix}S)", keys)


def _window(device: Device) -> tuple[float, float]:
    margin = 0.04 * (device.g_max_uS - device.g_min_uS)
    return device.g_min_uS - margin, device.g_max_uS + margin


def read_after_s(device: Law) -> float:
    """Time after programming at which a law's state is meant; one second where it names none."""
    return float(getattr(device, "drift_reference_s", 1.0))


def _programming_error(axes: Axes, device: Law, n_devices: int, seed: int) -> None:
    title = "Programming error, closed loop"
    targets = np.linspace(device.g_min_uS, device.g_max_uS, 21)
    error = programmed(device, targets, read_after_s(device), n_devices, seed)[0] - targets[:, np.newaxis]
    mean, sigma = error.mean(axis=1, dtype=float), error.std(axis=1, dtype=float)
    window = device.g_max_uS - device.g_min_uS
    if np.abs(error).max() < 1e-5 * window:
        _say(axes, title, "No programming error on this card:\nevery target is reached.")
        return
    scale, prefix = common_prefix([1e-6 * float((np.abs(mean) + sigma).max())])
    scale *= 1e6
    axes.fill_between(targets, (mean - sigma) / scale, (mean + sigma) / scale, color=tint(UP, 0.3), lw=0)
    axes.plot(targets, mean / scale, color=UP, lw=1.8)
    axes.axhline(0, color="#888888", lw=0.8)
    axes.set_xlim(*_window(device))
    keys: list[Artist] = [
        _line(UP, "mean"),
        _band(UP, f"±σ, at most {100 * sigma.max() / window:.2g} % of the window"),
    ]
    _name(axes, title, "Target conductance (µS)", f"Error ({prefix}S)", keys)


def _levels(axes: Axes, device: Law, n_devices: int, seed: int) -> None:
    targets = np.linspace(device.g_min_uS, device.g_max_uS, LEVELS)
    found = programmed(device, targets, read_after_s(device), n_devices, seed)[0]
    low, high = _window(device)
    low, high = min(low, float(found.min())), max(high, float(found.max()))
    edges = np.linspace(low, high, 97)
    for k, values in enumerate(found):
        share = 100 * np.histogram(values, edges)[0] / values.size
        colour = tint(UP, 0.35 + 0.65 * k / (LEVELS - 1))
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.75)
        axes.stairs(share, edges, color=colour, lw=0.7)
    axes.plot(targets, np.zeros(LEVELS), "^", color=DOWN, ms=5, clip_on=False, zorder=5)
    axes.set(xlim=(low, high), ylim=(0, None))
    keys: list[Artist] = [
        Patch(color=tint(UP, 0.7), lw=0, label="light to dark: levels from low to high"),
        Line2D([], [], ls="", marker="^", color=DOWN, ms=5, label="target"),
    ]
    title = f"{LEVELS} programmed levels"
    _name(axes, title, "Conductance (µS)", "Devices of a level (% per bin)", keys)


def _drift(axes: Axes, device: Law, n_devices: int, seed: int) -> None:
    if not device.drifts:
        _say(axes, "Drift over a year", "No retention data on this card:\nwhat time does is not known.")
        return
    start = read_after_s(device)
    times = np.geomspace(start, YEAR_S, 80)
    targets = device.g_min_uS + (device.g_max_uS - device.g_min_uS) * np.array([0.25, 0.5, 0.75, 1.0])
    found = programmed(device, targets, times, n_devices, seed).astype(float)
    mean, sigma = found.mean(axis=2), found.std(axis=2)
    for k, target in enumerate(targets):
        colour = tint(UP, 0.45 + 0.55 * k / (len(targets) - 1))
        low, high = mean[:, k] - sigma[:, k], mean[:, k] + sigma[:, k]
        axes.fill_between(times, low, high, color=colour, alpha=0.25, lw=0)
        axes.plot(times, mean[:, k], color=colour, lw=1.8, label=f"{target:g} µS")
        change = number(100 * (mean[-1, k] / max(mean[0, k], 1e-12) - 1), 0)
        change = change if change.startswith(MINUS) else f"+{change}"
        own = found[-1, k][found[0, k] > 0] / found[0, k][found[0, k] > 0]
        spread = np.diff(np.quantile(own, (0.16, 0.84)))[0] / 2 if own.size else 0.0
        axes.annotate(
            f"{change} ± {number(100 * spread, 0)} %", (1, mean[-1, k]), (4, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="left", va="center", fontsize=8,
        )  # fmt: skip
    axes.set(xscale="log", xlim=(start, YEAR_S))
    ticks = {name: at for name, at in TIMES.items() if start <= at <= YEAR_S}
    axes.xaxis.set_major_locator(FixedLocator(list(ticks.values())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(list(ticks))
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), None)
    keys: list[Artist] = [_line(UP, "mean"), _band(UP, f"±σ of {n_devices:,} devices, programming included")]
    _name(axes, "Drift over a year", "Time since programming (log scale)", "Conductance (µS)", keys)


def _read_noise(axes: Axes, device: Law) -> None:
    title = "Noise of one read"
    if not device.has_read_noise:
        _say(axes, title, "No read noise on this card:\nevery read sees the same.")
        return
    params = device.params()
    at = np.linspace(device.g_min_uS, device.g_max_uS, 60, dtype=np.float32)
    sigma = np.array([float(device.kernels.read_sigma(g, params)) for g in at])
    scale, prefix = common_prefix([1e-6 * sigma.max()])
    axes.plot(at, sigma / (1e6 * scale), color=UP, lw=1.8)
    axes.set(xlim=_window(device), ylim=(0, 1.15 * sigma.max() / (1e6 * scale)))
    share = 100 * sigma[-1] / at[-1]
    keys: list[Artist] = [_line(UP, f"σ, {significant(share)} % of the conductance at the upper end")]
    _name(axes, title, "Conductance (µS)", f"σ ({prefix}S)", keys)
