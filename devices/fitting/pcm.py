"""Fitter of accumulative phase-change memory: mean and spread of a SET pulse, RESET level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neurosim.core.errors import CapabilityError
from neurosim.devices.fitting.maximum import clipped_normal, ends, maximise
from neurosim.devices.fitting.population import COVERAGE, Estimate, Values
from neurosim.devices.fitting.result import LawFit, Steps
from neurosim.devices.fitting.tables import FEWEST_PULSES, Pulses

NAMES = (
    "mean_slope", "mean_offset_uS", "mean_first_uS", "sigma_slope", "sigma_offset_uS", "sigma_first_uS",
    "memory_pulses",
)  # fmt: skip
_MEMORIES = (0.7, 1.5, 3.0, 6.0, 12.0)
_LEAST = 1e-6


def pcm_accumulative(pulses: Pulses) -> LawFit:
    """Fit `pcm-accumulative`; a run must start with a fresh RESET. Raises `CapabilityError` if it cannot."""
    if pulses.fewest(1) < FEWEST_PULSES:
        raise CapabilityError(f"pcm-accumulative needs {FEWEST_PULSES} SET pulses of every device")
    before, after, number, device, row, resets = _steps(pulses)
    if number.max() < 5:
        raise CapabilityError("pcm-accumulative needs at least 5 SET pulses in a row")
    low, high = ends(after)

    def terms(numbers: Values) -> Values:
        mean, sigma = _law(numbers, before, number)
        return clipped_normal(after, before + mean, sigma, low, high)

    start = max(
        (_start(before, after - before, number, memory) for memory in _MEMORIES), key=lambda s: terms(s).sum()
    )
    best = maximise(terms, start, device)
    values = best.numbers.copy()
    values[-1] = np.exp(values[-1])
    found = {name: best.estimate(k) for k, name in enumerate(NAMES)}
    memory = found["memory_pulses"]
    found["memory_pulses"] = Estimate(*(float(np.exp(x)) for x in (memory.value, memory.low, memory.high)))
    found |= _reset_level(resets)
    top, bottom = float(after.max()), float(after.min())
    mean, sigma = _law(best.numbers, before, number)
    names = np.array([trace.device for trace in pulses.traces])
    steps = Steps(names[device], row, np.ones(before.size, np.int8), before, after - before, mean, sigma)
    level, spread = found["reset_mean_uS"].value, max(found["reset_sigma_uS"].value, 1e-9)
    seen_resets = _after_resets(pulses)
    log_likelihood = best.log_likelihood + float(stats.norm.logpdf(seen_resets, level, spread).sum())
    return LawFit(
        "pcm-accumulative",
        found,
        {
            "g_min_uS": (bottom, "smallest conductance seen after a SET pulse"),
            "g_max_uS": (top, "largest conductance seen"),
            "nominal_set_step_uS": (
                _nominal(best.numbers, level, bottom, top), "mean SET step from RESET to two thirds of g_max"
            ),
        },
        log_likelihood,
        len(NAMES) + (2 if seen_resets.size else 0),
        pulses.count,
        steps,
    )  # fmt: skip


def _steps(pulses: Pulses) -> tuple[Values, Values, Values, NDArray[np.intp], NDArray[np.intp], Values]:
    """Conductance before and after each SET pulse, its number since RESET, device and row; and RESET levels."""
    before, after, number, device, rows, resets = [], [], [], [], [], []
    for k, trace in enumerate(pulses.traces):
        count, missed = 0, dict(trace.missed)
        for row, sign in enumerate(trace.sign):
            if sign > 0:
                count += 1
                before.append(trace.conductance_uS[row - 1])
                after.append(trace.conductance_uS[row])
                number.append(float(count))
                device.append(k)
                rows.append(row)
            elif missed.get(row):
                count = -missed[row] if missed[row] < 0 else count + missed[row]
            else:
                count = 0
                resets.append(trace.conductance_uS[row])
    return (
        np.array(before),
        np.array(after),
        np.array(number),
        np.array(device),
        np.array(rows),
        np.array(resets),
    )


def _after_resets(pulses: Pulses) -> Values:
    return np.concatenate([trace.conductance_uS[trace.sign < 0] for trace in pulses.traces])


def _law(numbers: Values, g: Values, number: Values) -> tuple[Values, Values]:
    """Mean and standard deviation of a SET pulse; the last number is the logarithm of the memory."""
    first = np.exp(-number * np.exp(-np.clip(numbers[6], -5, 8)))
    mean = numbers[0] * g + numbers[1] + numbers[2] * first
    return mean, np.maximum(numbers[3] * g + numbers[4] + numbers[5] * first, _LEAST)


def _start(g: Values, change: Values, number: Values, memory: float) -> Values:
    columns = np.stack([g, np.ones_like(g), np.exp(-number / memory)], axis=1)
    mean = np.linalg.lstsq(columns, change, rcond=None)[0]
    size = np.abs(change - columns @ mean) * np.sqrt(np.pi / 2)
    sigma = np.linalg.lstsq(columns, size, rcond=None)[0]
    if (columns @ sigma).min() <= 0:
        sigma = np.array([0.0, float(size.mean()), 0.0])
    return np.array([*mean, *sigma, np.log(memory)])


def _reset_level(resets: Values) -> dict[str, Estimate]:
    n, mean, sigma = resets.size, float(resets.mean()), float(resets.std(ddof=1)) if resets.size > 1 else 0.0
    if n < 2:
        return {"reset_mean_uS": Estimate(mean, mean, mean), "reset_sigma_uS": Estimate(0.0, 0.0, 0.0)}
    half = float(stats.t.ppf((1 + COVERAGE) / 2, n - 1)) * sigma / np.sqrt(n)
    tails = stats.chi2.ppf([(1 + COVERAGE) / 2, (1 - COVERAGE) / 2], n - 1)
    low, high = (float(sigma * np.sqrt((n - 1) / tail)) for tail in tails)
    return {
        "reset_mean_uS": Estimate(mean, mean - half, mean + half),
        "reset_sigma_uS": Estimate(sigma, low, high),
    }


def _nominal(numbers: Values, start: float, bottom: float, top: float) -> float:
    """Mean step along the mean curve from RESET to two thirds of the window's top."""
    g = start
    for count in range(1, 256):
        mean, _ = _law(numbers, np.array([g]), np.array([float(count)]))
        if g + mean[0] >= 2 * top / 3 or mean[0] < 1e-3 * top:
            return max(float((g + mean[0] - start) / count), 1e-6)
        g += float(mean[0])
    return max((g - start) / 255, 1e-6)
