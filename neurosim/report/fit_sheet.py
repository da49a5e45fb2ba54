"""A fitted device for people: tables for the terminal, numbers for JSON, a figure of the data over the fit."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table
from scipy import signal, stats

from neurosim.core.seeds import key
from neurosim.devices import Law, pulse_response
from neurosim.devices.fitting import Drift, Fit, LawFit, Programming, Pulses, Reads, RetentionFit
from neurosim.devices.response import as_read
from neurosim.kernels.cells import ALL, construct_cells, program_cells, pulse_cells
from neurosim.report.style import PALETTE, SAVERS, label, new_figure, styled, tint
from neurosim.report.text import NOTHING, number, significant
from neurosim.study.store import whole_file

UP, DOWN, FITTED, CARD = PALETTE[0], PALETTE[1], "#000000", "#707070"
SIMULATED = 300
"""Devices made from the card for the traces."""
BINS, FEWEST_IN_BIN = 12, 8
FEWEST_FOR_BAND, FEWEST_FOR_BOUNDS = 5, 3
MOST_DRIFTING = 60


def fit_tables(fit: Fit) -> list[Table]:
    """Return the fitted numbers with their intervals, and the laws in order of their BIC."""
    numbers = Table("parameter", "value", "95 % interval", "unit", "source", box=SIMPLE_HEAD)
    for name, quantity in fit.card.parameters.items():
        found = [e for key, e in fit.intervals.items() if key.split("[")[0] == name]
        ends = [f"{significant(e.low, 3)} to {significant(e.high, 3)}" for e in found]
        interval = ", ".join(ends) or NOTHING
        source = quantity.source.split(", 95 % interval")[0]
        numbers.add_row(name, _words(quantity.value), interval, quantity.unit, source)
    tables = [numbers]
    if fit.ranking:
        ranking = Table(
            "law", "BIC above best", "numbers fitted", "error / expected", "lag-1", box=SIMPLE_HEAD
        )
        for law in fit.ranking:
            good = law.goodness()
            ranking.add_row(
                law.law, number(law.bic - min(one.bic for one in fit.ranking)), str(law.parameters),
                number(good["residual_spread"], 3), number(good["residual_correlation"], 3),
            )  # fmt: skip
        for name, reason in fit.refused.items():
            ranking.add_row(name, NOTHING, NOTHING, NOTHING, NOTHING)
            ranking.caption = f"{ranking.caption or ''}{name} not fitted: {reason}\n"
        tables.append(ranking)
    return tables


def _words(value: float | tuple[Any, ...]) -> str:
    """A number to four digits; a table as its numbers, one if they are all the same."""
    if isinstance(value, tuple):
        return ", ".join(map(_words, value if len(set(value)) > 1 else value[:1]))
    return significant(value, 4)


def fit_numbers(fit: Fit) -> dict[str, Any]:
    """Return what was fitted, as JSON."""
    return {
        "card": fit.card.model_dump(),
        "interval95": {name: [e.low, e.high] for name, e in fit.intervals.items()},
        "ranking": [
            {
                "law": law.law, "bic": law.bic, "log_likelihood": law.largest.value,
                "parameters": law.parameters, "observations": law.observations, **law.goodness(),
            }
            for law in fit.ranking
        ],
        "not_fitted": fit.refused,
        "understood": [line for table in fit.tables for line in table.said],
    }  # fmt: skip


def write_fit_sheet(fit: Fit, out: Path) -> Path:
    """Draw the figure into a whole file; raises `OutputError` if it cannot be written."""
    picture = SAVERS[out.suffix.lower()](fit_sheet(fit))
    with whole_file(out) as stream:
        stream.write(picture)
    return out


@styled
def fit_sheet(fit: Fit) -> Figure:
    """Draw the data over the fit: traces, steps, single devices, errors of prediction, drift, programming error."""
    panels: list[Callable[[Axes], None]] = []
    for table in fit.tables:
        if isinstance(table, Pulses) and fit.law is not None:
            panels += _pulse_panels(fit, table, fit.law)
        elif isinstance(table, Drift) and fit.drift is not None:
            panels.append(partial(_drift, fit=fit, table=table))
        elif isinstance(table, Reads) and fit.reads is not None:
            panels.append(partial(_reads, fit=fit, table=table))
        elif isinstance(table, Programming) and fit.programming is not None:
            panels.append(partial(_programming, fit=fit, table=table))
    rows = -(-len(panels) // 2)
    figure = new_figure(0.5 + 2.9 * rows)
    sources = label(", ".join(table.source for table in fit.tables), 60)
    figure.suptitle(f"{label(fit.card.name, 40)}: {fit.card.law} fitted to {sources}", fontsize=11)
    grid = figure.add_gridspec(rows, 2)
    for k, draw in enumerate(panels):
        last_alone = k == len(panels) - 1 and k % 2 == 0
        draw(figure.add_subplot(grid[k // 2, :] if last_alone else grid[k // 2, k % 2]))
    return figure


def _pulse_panels(fit: Fit, pulses: Pulses, law: LawFit) -> list[Callable[[Axes], None]]:
    differing = bool(pulses.differing())
    panels: list[Callable[[Axes], None]] = [
        (lambda axes: _amplitudes(axes, pulses, law))
        if differing
        else (lambda axes: _traces(axes, fit, pulses)),
        lambda axes: _steps(axes, law),
        lambda axes: _errors(axes, law),
    ]
    if max((len(values) for values, _ in law.devices.values()), default=0) >= FEWEST_FOR_BOUNDS:
        panels.insert(2, lambda axes: _bounds(axes, law))
    return panels


def _runs(pulses: Pulses) -> list[tuple[tuple[int, ...], NDArray[np.float64]]]:
    """The two most frequent sequences of pulses, and the (reads, runs) conductances under each."""
    runs = []
    for trace in pulses.traces:
        starts = [*np.flatnonzero(trace.sign == 0), len(trace.sign)]
        runs += [
            (tuple(int(s) for s in trace.sign[a + 1 : b]), trace.conductance_uS[a:b])
            for a, b in itertools.pairwise(starts)
            if b - a > 1
        ]
    often = Counter(signs for signs, _ in runs)
    ranked = sorted(often, key=lambda signs: (-often[signs] * len(signs), signs))[:2]
    if len(ranked) == 2 and set(ranked[0]) == set(ranked[1]):
        ranked = ranked[:1]
    return [(signs, np.stack([g for own, g in runs if own == signs], axis=1)) for signs in ranked]


def _simulated(device: Law, signs: tuple[int, ...], starts_uS: NDArray[np.float64]) -> NDArray[np.float32]:
    """Conductances (reads, `SIMULATED`) of devices of the card under the same pulses.

    They begin at the measured starts; devices whose law only steps up begin fresh, as they cannot be pulsed down to any.
    """
    if not device.steps_down:
        return pulse_response(device, signs, SIMULATED)
    keys = {purpose: key(0, "fit sheet", purpose) for purpose in ("construct", "program", "pulse")}
    state, params, kernels = device.allocate(SIMULATED), device.params(), device.kernels
    construct_cells(0, SIMULATED, state, params, keys["construct"], kernels.construct)
    starts = np.resize(starts_uS, SIMULATED).astype(np.float32)
    program_cells(0, starts, state, params, 0.0, 1, keys["program"], kernels.program, 1, ALL)
    traces = np.empty((len(signs) + 1, SIMULATED), np.float32)
    traces[0] = as_read(device, state, params)
    for event, sign in enumerate(signs, start=1):
        pulse_cells(sign, state, params, 0.0, event + 1, keys["pulse"], kernels.pulse)
        traces[event] = as_read(device, state, params)
    return traces


def _traces(axes: Axes, fit: Fit, pulses: Pulses) -> None:
    """Mean and middle 80 % of the measured runs over those of devices simulated with the card."""
    found = _runs(pulses)
    for k, (signs, measured) in enumerate(found):
        colour, x = DOWN if max(signs) < 0 else UP, np.arange(len(signs) + 1)
        name = "SET" if min(signs) > 0 else "RESET" if max(signs) < 0 else "SET and RESET"
        simulated = _simulated(fit.card.device(), signs, measured[0])
        axes.fill_between(
            x, *np.percentile(simulated, (10, 90), axis=1), color="#d9d9d9", lw=0, alpha=0.8,
            label=None if k else "card: mean, 10 to 90 %",
        )  # fmt: skip
        axes.plot(x, simulated.mean(axis=1), color=CARD, lw=2.6)
        band = measured.shape[1] >= FEWEST_FOR_BAND
        if band:
            for level in (10, 90):
                axes.plot(x, np.percentile(measured, level, axis=1), color=tint(colour, 0.55), lw=0.9)
        words = f"{measured.shape[1]} runs" if measured.shape[1] > 1 else "one run"
        axes.plot(x, measured.mean(axis=1), color=colour, lw=1.3, label=f"{name}: {words}")
    axes.set(title="Traces: data over the card", xlabel="Pulse", ylabel="Conductance (µS)")
    _room_for_legend(axes, 0.22)


def _amplitudes(axes: Axes, pulses: Pulses, law: LawFit) -> None:
    """Mean change of each kind of pulse, where pulses of one polarity differ, and what the law expects of the same pulses."""
    steps = law.steps
    shape_of = {
        (trace.device, row): tuple(
            float(of[row]) if of is not None else np.nan for of in (trace.volts, trace.seconds)
        )
        for trace in pulses.traces
        for row in range(trace.sign.size)
    }
    at = np.array([shape_of[device, row] for device, row in zip(steps.device, steps.row, strict=True)])
    volts, widths = at.T
    for sign, colour, name in ((1, UP, "SET"), (-1, DOWN, "RESET")):
        for k, width in enumerate(np.unique(widths[steps.sign == sign])):
            own = (steps.sign == sign) & ((widths == width) | (np.isnan(widths) & np.isnan(width)))
            levels = np.unique(volts[own])
            kinds = [own & (volts == level) for level in levels]
            words = "" if np.isnan(width) else f", {width:.3g} s"
            axes.plot(
                levels, [steps.expected_uS[kind].mean() for kind in kinds], color=FITTED, lw=1.3, zorder=3,
                label=None if k or sign < 0 else "law",
            )  # fmt: skip
            axes.errorbar(
                levels, [steps.change_uS[kind].mean() for kind in kinds],
                [steps.change_uS[kind].std() / np.sqrt(kind.sum()) for kind in kinds],
                fmt="o", ms=3.5, lw=1, color=tint(colour, 1 - 0.25 * min(k, 3)), label=f"{name}{words}",
            )  # fmt: skip
    axes.axhline(0, color="#888888", lw=0.7)
    axes.set(title="Mean change by a pulse of each kind", xlabel="Amplitude (V)", ylabel="Change (µS)")
    _room_for_legend(axes, 0.3)


def _steps(axes: Axes, law: LawFit) -> None:
    """Change of what is read after one pulse, against the read before, and what the law expects of the same pulses."""
    steps, named = law.steps, False
    for sign, colour, name in ((1, UP, "SET"), (-1, DOWN, "RESET")):
        at = np.flatnonzero(steps.sign == sign)
        at = at[np.argsort(steps.before_uS[at], kind="stable")]
        if at.size < FEWEST_IN_BIN:
            continue
        bins = np.array_split(at, max(1, min(BINS, at.size // FEWEST_IN_BIN)))
        g = np.array([steps.before_uS[one].mean() for one in bins])
        mean, spread = (np.array([f(steps.change_uS[one]) for one in bins]) for f in (np.mean, np.std))
        expected = np.array([steps.expected_uS[one].mean() for one in bins])
        sigma = np.array(
            [np.hypot(steps.expected_uS[b].std(), np.sqrt(np.mean(steps.sigma_uS[b] ** 2))) for b in bins]
        )
        axes.fill_between(g, expected - sigma, expected + sigma, color=tint(colour, 0.2), alpha=0.8, lw=0)
        axes.plot(g, expected, color=FITTED, lw=1.3, label=None if named else "law: mean, ± spread shaded")
        axes.errorbar(
            g, mean, spread, fmt="o", color=colour, ms=3.5, lw=1, capsize=2, label=f"{name}: data, ± spread"
        )
        named = True
    axes.axhline(0, color="#888888", lw=0.7)
    axes.set(title="Change by one pulse", xlabel="Conductance before (µS)", ylabel="Change (µS)")
    _room_for_legend(axes, 0.3)


def _room_for_legend(axes: Axes, share: float) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + share * (high - low))
    axes.legend(loc="upper center", ncols=2, fontsize=7.5)


def _bounds(axes: Axes, law: LawFit) -> None:
    """Each device's own bounds with their standard errors, in the order of their size."""
    for (name, (values, errors)), colour in zip(law.devices.items(), PALETTE, strict=False):
        order = np.argsort(values)
        share = 100 * (np.arange(len(values)) + 0.5) / len(values)
        axes.errorbar(
            values[order], share, xerr=errors[order], fmt="o", ms=2.5, lw=0.8, color=colour, label=name
        )
    axes.set(
        title="Single devices: bounds with standard errors",
        xlabel="Conductance (µS)",
        ylabel="Devices below (%)",
    )
    axes.legend(loc="best")


def _errors(axes: Axes, law: LawFit) -> None:
    z = np.sort(law.steps.errors)
    expected = stats.norm.ppf((np.arange(z.size) + 0.5) / z.size)
    keep = np.unique(np.linspace(0, z.size - 1, 400).astype(int))
    axes.plot([-4, 4], [-4, 4], color=FITTED, lw=1.2, label="as the law expects")
    axes.plot(expected[keep], z[keep], ".", color=UP, ms=4, label="data")
    good = law.goodness()
    axes.set(
        title=f"Errors of prediction: spread {number(good['residual_spread'], 2)}, "
        f"lag-1 {number(good['residual_correlation'], 2)}",
        xlabel="Normal quantile", ylabel="Error / expected spread", xlim=(-4, 4), ylim=(-5, 5),
    )  # fmt: skip
    axes.legend(loc="upper left")


def _drift(axes: Axes, fit: Fit, table: Drift) -> None:
    found = fit.drift
    assert found is not None
    for k, (_, times, conductance) in enumerate(table.devices[:MOST_DRIFTING]):
        axes.plot(
            times, conductance / conductance[0], color=tint(UP, 0.45), lw=0.8,
            label=None if k else f"data: {len(table.devices)} devices",
        )  # fmt: skip
    first = min(times[0] for _, times, _ in table.devices)
    last = max(times[-1] for _, times, _ in table.devices)
    t = np.geomspace(first, last, 50)
    if isinstance(fit.ageing, RetentionFit):
        axes.set(
            title=f"Retention: {significant(fit.ageing.seconds.value, 3)} s",
            xlabel="Time (s)", ylabel="Conductance / first read", xscale="log",
        )  # fmt: skip
        axes.legend(loc="lower left")
        return
    axes.plot(t, (t / first) ** -found.exponent.value, color=FITTED, lw=1.6, label="mean exponent")
    words = "no spread beyond read noise"
    if found.spread is not None and found.spread.value > 0:
        words = f"spread over devices {significant(found.spread.value, 2)}"
        for side in (-1, 1):
            axes.plot(
                t, (t / first) ** -(found.exponent.value + side * found.spread.value), color=FITTED, lw=1, ls="--",
                label=None if side > 0 else "± one spread",
            )  # fmt: skip
    axes.set(
        title=f"Drift: exponent {significant(found.exponent.value, 3)}, {words}",
        xlabel="Time (s)", ylabel="Conductance / first read", xscale="log",
    )  # fmt: skip
    axes.legend(loc="lower left")


def _reads(axes: Axes, fit: Fit, table: Reads) -> None:
    """Mean spectrum of relative deviations, and the fit of white and 1/f noise at the median state."""
    found = fit.reads
    assert found is not None
    size = min(times.size for _, times, _ in table.states)
    spectra = [
        signal.periodogram(g[:size] / g.mean(), 1 / found.interval_s, detrend="linear")[1]
        for _, _, g in table.states
    ]
    f = np.fft.rfftfreq(size, found.interval_s)[1:]
    axes.plot(
        f, np.mean(spectra, axis=0)[1:], ".", color=tint(UP, 0.5), ms=3, label=f"data: {len(spectra)} states"
    )
    g = float(np.median([g.mean() for _, _, g in table.states]))
    fitted = (
        2 * (found.sigma_uS(g) / g) ** 2 * found.interval_s
        + found.size(g, fit.card.device().g_max_uS) ** 2 / f
    )
    axes.plot(f, fitted, color=FITTED, lw=1.4, label="fit: white and 1/f")
    axes.set(
        title="Repeated reads",
        xlabel="Frequency (Hz)",
        ylabel="Spectrum of ΔG/G (1/Hz)",
        xscale="log",
        yscale="log",
    )
    axes.legend(loc="lower left")


def _programming(axes: Axes, fit: Fit, table: Programming) -> None:
    found = fit.programming
    assert found is not None
    error = table.achieved_uS - table.target_uS
    axes.plot(table.target_uS, error, ".", color=tint(UP, 0.5), ms=3, label=f"data: {error.size} devices")
    g = np.linspace(table.target_uS.min(), table.target_uS.max(), 100)
    sigma = sum(one.value * (g / found.g_max_uS) ** k for k, one in enumerate(found.polynomial))
    mean, name = found.bias_uS(g), "fit: mean ± one σ" if found.bias else "fit: ± one σ"
    for side in (-1, 1):
        axes.plot(g, mean + side * sigma, color=FITTED, lw=1.4, label=None if side > 0 else name)
    targets, counts = np.unique(table.target_uS, return_counts=True)
    many = targets[counts >= FEWEST_IN_BIN]
    if many.size:
        off = found.bias_uS(many)
        left = error - found.bias_uS(table.target_uS)
        rms = np.array([np.sqrt(np.mean(left[table.target_uS == one] ** 2)) for one in many])
        for side in (-1, 1):
            axes.plot(
                many,
                off + side * rms,
                "_",
                color=DOWN,
                ms=11,
                mew=2,
                label=None if side > 0 else "data: ± rms error",
            )
    axes.set(title="Programming error", xlabel="Target (µS)", ylabel="Achieved − target (µS)")
    _room_for_legend(axes, 0.2)
