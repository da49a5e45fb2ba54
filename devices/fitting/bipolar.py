"""Fitters of laws whose pulses move a device up and down in small steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from neurosim.core.errors import CapabilityError
from neurosim.devices.fitting.likelihood import Devices, fit_devices
from neurosim.devices.fitting.population import Estimate, Values, jackknife, population, student
from neurosim.devices.fitting.result import LawFit
from neurosim.devices.fitting.tables import FEWEST_PULSES, Pulses, Trace
from neurosim.kernels.jit import jit

UP, DOWN, REACH_UP, REACH_DOWN = range(4)
"""A device's numbers: logarithms of its steps at the origin and of its bounds' distances from it."""
CYCLE, WRITE = range(2)
_SEEN = 0.5
"""Noise whose logarithm has a larger standard error than this is not seen."""
_VAGUE = 0.35
"""A bound is known if the logarithm of its distance has a smaller standard error than this."""


@jit
def soft_move(g: float, up: bool, own: Any, shared: Any, origin: float) -> Any:
    """Mean change of one pulse under soft bounds, and the noise of one unit of `cycle_to_cycle`."""
    if up:
        step = math.exp(own[0])
        return step * (1.0 - (g - origin) / math.exp(own[2])), step
    step = math.exp(own[1])
    return -step * (1.0 + (g - origin) / math.exp(own[3])), step


def soft_bounds(pulses: Pulses) -> LawFit:
    """Fit `soft-bounds`; raises `CapabilityError` if the data cannot tell its parameters."""
    if min(pulses.fewest(1), pulses.fewest(-1)) < FEWEST_PULSES:
        raise CapabilityError(f"soft-bounds needs {FEWEST_PULSES} pulses of each polarity of every device")
    alive, corrupt = _responding(pulses.traces)
    origin, own = _start(alive)
    shared, free = _first_noise(alive), [CYCLE, WRITE]
    for _ in range(6):
        fitted = fit_devices(alive, soft_move, origin, own, shared, free)
        unseen = [k for k in free if fitted.shared_error[k] > _SEEN]
        before = origin
        origin, own = _balanced(fitted.own, before)
        shared = fitted.shared.copy()
        if unseen:
            worst = max(unseen, key=lambda k: fitted.shared_error[k])
            shared[worst] = _nothing(worst, alive)
            free.remove(worst)
        elif abs(origin - before) < 1e-3 * float(np.exp(own[:, UP]).mean()):
            break
    return _soft_card(pulses, alive, corrupt, fitted, before, free)


def _responding(traces: tuple[Trace, ...]) -> tuple[list[Trace], list[Trace]]:
    """Tell devices that answer to pulses from those that stay where they are."""
    spread = np.array([trace.conductance_uS.std() for trace in traces])
    still = spread < 0.02 * np.median(spread[spread > 0]) if (spread > 0).any() else spread == 0
    if still.all():
        raise CapabilityError("no device answers to pulses")
    return (
        [trace for trace, flag in zip(traces, still, strict=True) if not flag],
        [trace for trace, flag in zip(traces, still, strict=True) if flag],
    )


def _changes(trace: Trace, sign: int) -> tuple[Values, Values, Values]:
    """Conductance before pulses of a polarity, the change, and the conductance one pulse earlier."""
    at = np.flatnonzero(trace.sign == sign)
    at = at[(at > 1)]
    at = at[trace.sign[at - 1] != 0]
    g = trace.conductance_uS
    return g[at - 1], g[at] - g[at - 1], g[at - 2]


def _line(trace: Trace, sign: int) -> tuple[float, float]:
    """Rate and bound of one direction: change = sign rate |bound - g|.

    The conductance one pulse earlier serves as instrument: its write noise is not that of the change.
    """
    g, change, earlier = _changes(trace, sign)
    ends = trace.conductance_uS.min(), trace.conductance_uS.max()
    width = max(ends[1] - ends[0], 1e-9)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = -np.mean((earlier - earlier.mean()) * change) / np.mean((earlier - earlier.mean()) * (g - g.mean()))
    rate = float(np.clip(rate, 1e-4, 0.8)) if np.isfinite(rate) else 0.05
    bound = float(g.mean() + change.mean() / rate)
    low, high = (ends[1] - 0.1 * width, ends[1] + 2 * width) if sign > 0 else (ends[0] - 2 * width, ends[0] + 0.1 * width)
    return rate, float(np.clip(bound, low, high))


def _start(traces: list[Trace]) -> tuple[float, Values]:
    lines = np.array([[*_line(trace, 1), *_line(trace, -1)] for trace in traces])
    up, high, down, low = lines.T
    origin = float((up @ high + down @ low) / (up.sum() + down.sum()))
    width = high.mean() - low.mean()
    above, below = np.maximum(high - origin, 0.1 * width), np.maximum(origin - low, 0.1 * width)
    return origin, np.log(np.stack([up * above, down * below, above, below], axis=1))


def _first_noise(traces: list[Trace]) -> Values:
    """Cycle-to-cycle and write noise from the variance and the lag-1 covariance of changes."""
    total, together, step = [], [], []
    for trace in traces:
        change = np.diff(trace.conductance_uS)
        for sign in (1, -1):
            change[trace.sign[1:] == sign] -= change[trace.sign[1:] == sign].mean()
        total.append(np.mean(change**2))
        together.append(np.mean(change[1:] * change[:-1]))
        step.append(np.mean(np.abs(np.diff(trace.conductance_uS))))
    write = max(-float(np.mean(together)), 0.02 * float(np.mean(total)))
    cycle = max(float(np.mean(total)) - 2 * write, 0.02 * float(np.mean(total)))
    return np.array([0.5 * np.log(cycle) - np.log(np.mean(step)), 0.5 * np.log(write)])


def _nothing(kind: int, traces: list[Trace]) -> float:
    """Logarithm of a noise too small to matter, but not zero."""
    return math.log(1e-3) if kind == CYCLE else math.log(1e-4 * np.mean([np.ptp(t.conductance_uS) for t in traces]))


def _balance(own: Values, origin: float, weight: Values) -> float:
    """Conductance at which the mean steps up and down are equal."""
    up, down, above, below = np.exp(own).T
    gap = weight @ (up - down)
    return origin + float(gap / (weight @ (up / above + down / below)))


def _balanced(own: Values, origin: float) -> tuple[float, Values]:
    """Return the symmetry point and the devices' numbers with it as origin."""
    moved = _balance(own, origin, np.ones(len(own)))
    up, down, above, below = np.exp(own).T
    high, low = origin + above, origin - below
    smallest = 0.02 * float(np.mean(high - low))
    new_above, new_below = np.maximum(high - moved, smallest), np.maximum(moved - low, smallest)
    return moved, np.log(np.stack([up * new_above / above, down * new_below / below, new_above, new_below], axis=1))


def _soft_card(
    pulses: Pulses, alive: list[Trace], corrupt: list[Trace], fitted: Devices, origin: float, free: list[int]
) -> LawFit:
    n, own = len(alive), fitted.own
    error = np.sqrt(np.diagonal(fitted.covariance, axis1=1, axis2=2))
    known = (error[:, REACH_UP] < _VAGUE) & (error[:, REACH_DOWN] < _VAGUE)
    if known.sum() < max(1, n / 2):
        raise CapabilityError(
            f"soft-bounds: steps of {n - known.sum()} of {n} devices do not shrink towards a bound; pulse further"
        )
    up, down, above, below = np.exp(own).T
    mean_step, tilt = (up + down) / 2, (up - down) / 2
    e_step, e_tilt = _sum_errors(fitted.covariance, up, down)
    lognormal = population(np.log(mean_step), e_step / mean_step)
    normal = population(mean_step, e_step)
    is_lognormal = _is_lognormal(mean_step)
    bounds_up = population(above[known], (above * error[:, REACH_UP])[known])
    bounds_down = population(below[known], (below * error[:, REACH_DOWN])[known])

    def numbers(weight: Values) -> Values:
        w, k = weight / weight.sum(), weight[known]
        rest = _balance(own, origin, w)
        high = origin + bounds_up.weights * k @ above[known] / (bounds_up.weights @ k)
        low = origin - bounds_down.weights * k @ below[known] / (bounds_down.weights @ k)
        if is_lognormal:
            step = np.exp(lognormal.weights * w @ np.log(mean_step) / (lognormal.weights @ w))
        else:
            step = normal.weights * w @ mean_step / (normal.weights @ w)
        half = (high - low) / 2
        return np.array([low, high, (high - rest) / half, step / half, (high - rest), (rest - low), step])

    values, errors = _with_errors(numbers, fitted, n)
    t = student(n) if n > 1 else 1.96
    each = [Estimate(float(v), float(v - t * e), float(v + t * e)) for v, e in zip(values, errors, strict=True)]
    found = dict(zip(("g_min_uS", "g_max_uS", "state_max", "step"), each, strict=False))
    relative = errors / np.abs(values)
    spreads: dict[str, Estimate | None] = {
        "step_spread_lognormal": lognormal.spread if is_lognormal else None,
        "step_spread": None if is_lognormal or normal.spread is None else normal.spread.times(1 / values[6]).widened(relative[6]),
        "state_max_spread": bounds_up.spread and bounds_up.spread.times(1 / values[4]).widened(relative[4]),
        "state_min_spread": bounds_down.spread and bounds_down.spread.times(1 / values[5]).widened(relative[5]),
        "asymmetry_spread": None,
    }
    asymmetry = population(tilt, e_tilt).spread
    if asymmetry is not None:
        spreads["asymmetry_spread"] = asymmetry.times(1 / values[6]).widened(relative[6])
    found |= {name: estimate for name, estimate in spreads.items() if estimate is not None and estimate.value > 0}
    if CYCLE in free:
        found["cycle_to_cycle"] = fitted.shared_estimate(CYCLE)
    if WRITE in free:
        found["write_noise"] = fitted.shared_estimate(WRITE).times(1 / values[6]).widened(relative[6])
    state_max = found["state_max"].value
    return LawFit(
        "soft-bounds", found, {"state_min": (state_max - 2, "definition: state_max - 2")},
        fitted.log_likelihood, fitted.parameters, pulses.count, fitted.residuals,
        _typical(found, values), {},
    )  # fmt: skip


def _sum_errors(covariance: Values, up: Values, down: Values) -> tuple[Values, Values]:
    """Standard errors of (up + down) / 2 and (up - down) / 2."""
    a, b = covariance[:, UP, UP] * up**2, covariance[:, DOWN, DOWN] * down**2
    both = covariance[:, UP, DOWN] * up * down
    return np.sqrt((a + b + 2 * both) / 4), np.sqrt(np.maximum(a + b - 2 * both, 0) / 4)


def _is_lognormal(steps: Values) -> bool:
    """Whether the steps of devices are more likely from a lognormal than from a normal distribution."""
    logs = np.log(steps)
    return float(np.log(steps.std() + 1e-300) - np.log(logs.std() + 1e-300) - logs.mean()) >= 0


def _with_errors(numbers: Callable[[Values], Values], fitted: Devices, n: int) -> tuple[Values, Values]:
    return jackknife(numbers, n)


def _typical(found: dict[str, Estimate], values: Values) -> Callable[[Values, int], tuple[Values, Values]]:
    low, high, above, below, step = values[0], values[1], values[4], values[5], values[6]
    noise = found["cycle_to_cycle"].value * step if "cycle_to_cycle" in found else 0.0

    def law(g: Values, sign: int) -> tuple[Values, Values]:
        left = (high - g) / above if sign > 0 else -(g - low) / below
        return step * left, np.full_like(g, noise)

    return law
