"""A fitted device for people: tables for the terminal, numbers for JSON, a figure of the data over the fit."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table
from scipy import stats

from neurosim.devices.fitting import Drift, Fit, LawFit, Programming, Pulses
from neurosim.devices.response import pulse_response
from neurosim.report.style import PALETTE, SAVERS, label, new_figure, styled, tint
from neurosim.report.text import NOTHING, number, significant
from neurosim.study.store import whole_file

UP, DOWN, FITTED = PALETTE[0], PALETTE[1], "#000000"
SIMULATED = 300
BINS = 14
FEWEST_IN_BIN = 8


def fit_tables(fit: Fit) -> list[Table]:
    """Return the fitted numbers with their intervals, and the laws in order of their BIC."""
    numbers = Table("parameter", "value", "95 % interval", "unit", "source", box=SIMPLE_HEAD)
    for name, quantity in fit.card.parameters.items():
        found = fit.intervals.get(name)
        interval = f"{significant(found.low, 3)} to {significant(found.high, 3)}" if found else NOTHING
        source = quantity.source.split(", 95 % interval")[0]
        numbers.add_row(name, significant(quantity.value, 4), interval, quantity.unit, source)
    tables = [numbers]
    if fit.ranking:
        ranking = Table(
            "law", "BIC above best", "numbers fitted", "error / expected", "lag-1", box=SIMPLE_HEAD
        )
        for law in fit.ranking:
            good = law.goodness()
            ranking.add_row(
                law.law, number(law.bic - fit.ranking[0].bic), str(law.parameters),
                number(good["residual_spread"], 3), number(good["residual_correlation"], 3),
            )  # fmt: skip
        for name, reason in fit.refused.items():
            ranking.add_row(name, NOTHING, NOTHING, NOTHING, NOTHING)
            ranking.caption = f"{ranking.caption or ''}{name} not fitted: {reason}\n"
        tables.append(ranking)
    return tables


def fit_numbers(fit: Fit) -> dict[str, Any]:
    """Return what was fitted, as JSON."""
    return {
        "card": fit.card.model_dump(),
        "interval95": {name: [e.low, e.high] for name, e in fit.intervals.items()},
        "ranking": [
            {
                "law": law.law, "bic": law.bic, "log_likelihood": law.log_likelihood,
                "parameters": law.parameters, "observations": law.observations, **law.goodness(),
            }
            for law in fit.ranking
        ],
        "not_fitted": fit.refused,
    }  # fmt: skip


def write_fit_sheet(fit: Fit, out: Path) -> Path:
    """Draw the figure into a whole file; raises `OutputError` if it cannot be written."""
    picture = SAVERS[out.suffix.lower()](fit_sheet(fit))
    with whole_file(out) as stream:
        stream.write(picture)
    return out


@styled
def fit_sheet(fit: Fit) -> Figure:
    """Draw the data over the fit: traces, steps, single devices, residuals, drift, programming error."""
    panels: list[Callable[[Axes], None]] = []
    for table in fit.tables:
        if isinstance(table, Pulses) and fit.law is not None:
            panels += _pulse_panels(fit, table, fit.law)
        elif isinstance(table, Drift) and fit.drift is not None:
            panels.append(lambda axes, table=table: _drift(axes, fit, table))  # type: ignore[misc]
        elif isinstance(table, Programming) and fit.programming is not None:
            panels.append(lambda axes, table=table: _programming(axes, fit, table))  # type: ignore[misc]
    rows = -(-len(panels) // 2)
    figure = new_figure(0.5 + 2.9 * rows)
    figure.suptitle(f"{label(fit.card.name, 60)}: {fit.card.law}, {label(fit.card.summary, 70)}", fontsize=11)
    places = figure.subplots(rows, 2 if len(panels) > 1 else 1, squeeze=False).ravel()
    for axes, draw in zip(places, panels, strict=False):
        draw(axes)
    for axes in places[len(panels) :]:
        axes.remove()
    return figure


def _pulse_panels(fit: Fit, pulses: Pulses, law: LawFit) -> list[Callable[[Axes], None]]:
    panels: list[Callable[[Axes], None]] = [
        lambda axes: _traces(axes, fit, pulses),
        lambda axes: _steps(axes, fit, pulses, law),
        lambda axes: _residuals(axes, law),
    ]
    if law.devices:
        panels.insert(2, lambda axes: _devices(axes, law))
    return panels


def _traces(axes: Axes, fit: Fit, pulses: Pulses) -> None:
    """Mean and the middle 80 % of the devices, and of devices simulated with the card, under the same pulses."""
    first = pulses.traces[0].sign
    alike = [trace for trace in pulses.traces if np.array_equal(trace.sign, first)]
    axes.set(title="Traces: data (blue) over the card (grey)", xlabel="Pulse", ylabel="Conductance (µS)")
    starts = np.flatnonzero(first == 0)
    length = int(starts[1]) if len(starts) > 1 else len(first)
    measured = np.stack([trace.conductance_uS[:length] for trace in alike], axis=1)
    simulated = pulse_response(fit.card.device(), [int(s) for s in first[1:length]], SIMULATED)
    x = np.arange(length)
    axes.fill_between(x, *np.percentile(simulated, (10, 90), axis=1), color="#d5d5d5", lw=0)
    axes.plot(x, simulated.mean(axis=1), color="#707070", lw=2.4)
    if measured.shape[1] >= 5:
        for level in (10, 90):
            axes.plot(x, np.percentile(measured, level, axis=1), color=tint(UP, 0.55), lw=0.9)
    axes.plot(x, measured.mean(axis=1), color=UP, lw=1.3)


def _steps(axes: Axes, fit: Fit, pulses: Pulses, law: LawFit) -> None:
    """Mean and spread of the change of one pulse against the conductance before it."""
    for sign, colour, name in ((1, UP, "up"), (-1, DOWN, "down")):
        before, change = _changes(pulses, sign)
        if before.size < FEWEST_IN_BIN:
            continue
        if sign < 0 and fit.card.device().polarity == "set_only":
            continue
        edges = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)))
        for low, high in itertools.pairwise(edges):
            inside = change[(before >= low) & (before < high)]
            if inside.size >= FEWEST_IN_BIN:
                at = (low + high) / 2
                axes.errorbar(at, inside.mean(), inside.std(), color=tint(colour, 0.4), lw=1.2)
                axes.plot(at, inside.mean(), "o", color=colour, ms=3.5)
        g = np.linspace(before.min(), before.max(), 80)
        mean, spread = law.step(g, sign)
        axes.plot(g, mean, color=FITTED, lw=1.4)
        axes.fill_between(g, mean - spread, mean + spread, color=colour, alpha=0.12, lw=0)
        axes.plot([], [], "o", color=colour, label=name)
    axes.axhline(0, color="#888888", lw=0.7)
    axes.set(title="Step of one pulse: mean ± spread", xlabel="Conductance (µS)", ylabel="Change (µS)")
    axes.legend(loc="best")


def _changes(pulses: Pulses, sign: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    before, change = [], []
    for trace in pulses.traces:
        at = np.flatnonzero(trace.sign == sign)
        before.append(trace.conductance_uS[at - 1])
        change.append(trace.conductance_uS[at] - trace.conductance_uS[at - 1])
    return np.concatenate(before), np.concatenate(change)


def _devices(axes: Axes, law: LawFit) -> None:
    """Each device's own numbers with their standard errors, in the order of their size."""
    for (name, (values, errors)), colour in zip(law.devices.items(), PALETTE, strict=False):
        order = np.argsort(values)
        share = np.linspace(0, 100, len(values)) if len(values) > 1 else np.array([50.0])
        axes.errorbar(
            values[order], share, xerr=errors[order], fmt="o", ms=2.5, lw=0.8, color=colour, label=name
        )
    axes.set(
        title="Single devices, with standard errors", xlabel="Conductance (µS)", ylabel="Share below (%)"
    )
    axes.legend(loc="best")


def _residuals(axes: Axes, law: LawFit) -> None:
    z = np.sort(law.residuals)
    expected = stats.norm.ppf((np.arange(z.size) + 0.5) / z.size)
    keep = np.unique(np.linspace(0, z.size - 1, 400).astype(int))
    axes.plot([-4, 4], [-4, 4], color=FITTED, lw=1.2)
    axes.plot(expected[keep], z[keep], ".", color=UP, ms=4)
    good = law.goodness()
    axes.set(
        title=f"Errors of prediction: spread {good['residual_spread']:.2f}, lag-1 {good['residual_correlation']:.2f}",
        xlabel="Normal quantile", ylabel="Error / expected", xlim=(-4, 4), ylim=(-5, 5),
    )  # fmt: skip


def _drift(axes: Axes, fit: Fit, table: Drift) -> None:
    assert fit.drift is not None
    for _, times, conductance in table.devices[:60]:
        axes.plot(times, conductance / conductance[0], color=tint(UP, 0.45), lw=0.8)
    first = min(times[0] for _, times, _ in table.devices)
    last = max(times[-1] for _, times, _ in table.devices)
    t = np.geomspace(first, last, 50)
    axes.plot(t, (t / first) ** -fit.drift.exponent.value, color=FITTED, lw=1.6)
    spread = fit.drift.spread
    if spread is not None:
        for side in (-1, 1):
            axes.plot(
                t,
                (t / first) ** -(fit.drift.exponent.value + side * spread.value),
                color=FITTED,
                lw=1,
                ls="--",
            )
    words = f" ± {significant(spread.value, 2)}" if spread is not None else ""
    axes.set(
        title=f"Drift, exponent {significant(fit.drift.exponent.value, 3)}{words}",
        xlabel="Time (s)", ylabel="Conductance / first", xscale="log", yscale="log",
    )  # fmt: skip


def _programming(axes: Axes, fit: Fit, table: Programming) -> None:
    assert fit.programming is not None
    axes.plot(table.target_uS, table.achieved_uS - table.target_uS, ".", color=tint(UP, 0.5), ms=3)
    g = np.linspace(table.target_uS.min(), table.target_uS.max(), 100)
    c0, c1, c2 = (estimate.value for estimate in fit.programming.polynomial)
    share = g / fit.programming.g_max_uS
    sigma = c0 + c1 * share + c2 * share**2
    for side in (-1, 1):
        axes.plot(g, side * sigma, color=FITTED, lw=1.4)
    axes.set(title="Programming error, ± one sigma", xlabel="Target (µS)", ylabel="Achieved − target (µS)")
