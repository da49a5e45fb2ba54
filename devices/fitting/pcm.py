"""Fitter of accumulative phase-change memory: mean and spread of a SET pulse, RESET level.

Noise of a pulse is as large as the step here, and larger after a RESET, so that glitches of which `reads_left_out` can
be sure are few. Those left are told by the law itself: reads that it expects less, with the one behind, than that the
contact failed once and the device went on as if nothing had been.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neurosim.core.errors import CapabilityError
from neurosim.devices.fitting.maximum import clipped_normal, ends, maximise
from neurosim.devices.fitting.population import COVERAGE, Estimate, Values
from neurosim.devices.fitting.reads_left_out import MOST_GLITCHES, limits, without
from neurosim.devices.fitting.result import LawFit, Steps
from neurosim.devices.fitting.tables import FEWEST_PULSES, Pulses, Trace

NAMES = (
    "mean_slope", "mean_offset_uS", "mean_first_uS", "sigma_slope", "sigma_offset_uS", "sigma_first_uS",
    "memory_pulses",
)  # fmt: skip
_MEMORIES = (0.7, 1.5, 3.0, 6.0, 12.0)
_LEAST = 1e-6
_GLITCH = 1e-4
"""Share of glitches that a read is held against, evenly over the window: honest noise is left out as rarely."""
_FAR, _NORMAL = 5.0, 1.4826
"""Robust standard deviations of levels after RESET; of a normal over its median absolute deviation."""
_MOST_LEVELS = 0.05
"""Share of levels after RESET that may be that far off; more are a long tail."""


def pcm_accumulative(pulses: Pulses) -> LawFit:
    """Fit `pcm-accumulative`; a run must start with a fresh RESET. Raises `CapabilityError` if it cannot."""
    if pulses.fewest(1) < FEWEST_PULSES:
        raise CapabilityError(f"pcm-accumulative needs {FEWEST_PULSES} SET pulses of every device")
    if max(_steps(pulses).number) < 5:
        raise CapabilityError("pcm-accumulative needs at least 5 SET pulses in a row")
    left, of_glitches, notes = _without_glitches(pulses)
    seen = _steps(left)
    low, high = ends(seen.after)

    def terms(numbers: Values) -> Values:
        return _density(numbers, seen, low, high)

    best = maximise(terms, max(_starts(seen), key=lambda s: terms(s).sum()), seen.device)
    values = best.numbers.copy()
    values[-1] = np.exp(values[-1])
    found = {name: best.estimate(k) for k, name in enumerate(NAMES)}
    memory = found["memory_pulses"]
    found["memory_pulses"] = Estimate(*(float(np.exp(x)) for x in (memory.value, memory.low, memory.high)))
    found |= _reset_level(seen.resets)
    top, bottom = float(seen.after.max()), float(seen.after.min())
    mean, sigma = _law(best.numbers, seen.before, seen.number)
    names = np.array([trace.device for trace in left.traces])
    steps = Steps(
        names[seen.device], seen.row, np.ones(seen.before.size, np.int8), seen.before, seen.after - seen.before,
        mean, sigma,
    )  # fmt: skip
    level, spread = found["reset_mean_uS"].value, max(found["reset_sigma_uS"].value, 1e-9)
    seen_resets = _after_resets(left)
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
        log_likelihood + of_glitches,
        len(NAMES) + (2 if seen_resets.size else 0),
        pulses.count,
        steps,
        notes=notes,
    )  # fmt: skip


class _Seen(NamedTuple):
    """Each SET pulse between two reads, and the reads after RESET."""

    before: Values
    after: Values
    number: Values
    """Of the pulse since RESET."""
    device: NDArray[np.intp]
    row: NDArray[np.intp]
    resets: Values
    reset_at: list[tuple[int, int]]
    """Device and row of each."""


def _steps(pulses: Pulses) -> _Seen:
    before, after, number, device, rows, resets, reset_at = [], [], [], [], [], [], []
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
                reset_at.append((k, row))
    return _Seen(
        np.array(before), np.array(after), np.array(number), np.array(device), np.array(rows), np.array(resets), reset_at
    )  # fmt: skip


def _after_resets(pulses: Pulses) -> Values:
    return np.concatenate([trace.conductance_uS[trace.sign < 0] for trace in pulses.traces])


def _law(numbers: Values, g: Values, number: Values) -> tuple[Values, Values]:
    """Mean and standard deviation of a SET pulse; the last number is the logarithm of the memory."""
    first = np.exp(-number * np.exp(-np.clip(numbers[6], -5, 8)))
    mean = numbers[0] * g + numbers[1] + numbers[2] * first
    return mean, np.maximum(numbers[3] * g + numbers[4] + numbers[5] * first, _LEAST)


def _density(numbers: Values, seen: _Seen, low: float, high: float) -> Values:
    """Log density of the read after each SET pulse."""
    mean, sigma = _law(numbers, seen.before, seen.number)
    return clipped_normal(seen.after, seen.before + mean, sigma, low, high)


def _starts(seen: _Seen) -> list[Values]:
    return [_start(seen.before, seen.after - seen.before, seen.number, memory) for memory in _MEMORIES]


def _start(g: Values, change: Values, number: Values, memory: float) -> Values:
    columns = np.stack([g, np.ones_like(g), np.exp(-number / memory)], axis=1)
    mean = np.linalg.lstsq(columns, change, rcond=None)[0]
    size = np.abs(change - columns @ mean) * np.sqrt(np.pi / 2)
    sigma = np.linalg.lstsq(columns, size, rcond=None)[0]
    if (columns @ sigma).min() <= 0:
        sigma = np.array([0.0, float(size.mean()), 0.0])
    return np.array([*mean, *sigma, np.log(memory)])


# Glitches


def _without_glitches(pulses: Pulses) -> tuple[Pulses, float, tuple[str, ...]]:
    """Leave out reads that are more likely glitches, drawn evenly over the window, than what the law does.

    Returns the pulses without them, the log density of what they are and of the reads behind, and a note. The law that
    they are held against is fitted with every density no less than that of a glitch, so that none moves it far. More than
    a few per cent are no glitches: then all stay.
    """
    seen = _steps(pulses)
    outside = _beyond_stops(pulses)
    inside = np.array([place not in outside for place in _places(seen)])
    low, high = ends(seen.after[inside])
    glitch = np.log(_GLITCH / max(float(np.ptp(seen.after[inside])), _LEAST))

    def floored(numbers: Values) -> Values:
        found: Values = np.logaddexp(_density(numbers, seen, low, high), glitch)
        return found

    numbers = maximise(floored, max(_starts(seen), key=lambda s: floored(s).sum()), seen.device).numbers
    here = np.where(inside, _density(numbers, seen, low, high), -np.inf)
    behind = np.flatnonzero((np.diff(seen.device) == 0) & (np.diff(seen.row) == 1))
    honest, apart = here.copy(), np.full(here.size, glitch)
    honest[behind] += _density(numbers, seen, low, high)[behind + 1]
    apart[behind] += _two_pulses(numbers, seen, behind, low, high)
    found = _most_likely(apart - honest, seen)
    at = {_places(seen)[k] for k in found}
    at |= {place for place, far in zip(seen.reset_at, _far_off(seen.resets), strict=True) if far}
    if not at or len(found) > MOST_GLITCHES * here.size:
        return pulses, 0.0, ()
    kept = [np.array([(k, row) not in at for row in range(t.sign.size)]) for k, t in enumerate(pulses.traces)]
    traces = tuple(without(trace, keep) for trace, keep in zip(pulses.traces, kept, strict=True))
    device, row = min(at)
    note = (
        f"{pulses.source}: {len(at):,} read(s) left out as glitches within the noise of other pulses, of device "
        f"{pulses.traces[device].device} that of pulse {row}: from there phase-change memory does not come back, "
        "or no RESET leaves that."
    )
    return replace(pulses, traces=traces), float(apart[found].sum()), (note,)


def _most_likely(score: Values, seen: _Seen) -> list[int]:
    """Where the score is above zero, beside none that is larger: a glitch makes the reads around it look odd, too."""
    found: list[int] = []
    for k in np.argsort(-score, kind="stable"):
        if score[k] <= 0:
            break
        beside = ((seen.device[found] == seen.device[k]) & (np.abs(seen.row[found] - seen.row[k]) == 1)).any()
        found += [] if beside else [int(k)]
    return found


def _places(seen: _Seen) -> list[tuple[int, int]]:
    """Device and row of the read after each SET pulse."""
    return list(zip(seen.device.tolist(), seen.row.tolist(), strict=True))


def _beyond_stops(pulses: Pulses) -> set[tuple[int, int]]:
    """Device and row of reads after SET pulses that lie beyond a value at which all others stop."""
    sets = [t.sign > 0 for t in pulses.traces]
    only = [
        Trace(t.device, t.sign[up], t.conductance_uS[up]) for t, up in zip(pulses.traces, sets, strict=True)
    ]
    return {
        (k, int(row))
        for stop in limits(only)
        for k, (trace, up) in enumerate(zip(pulses.traces, sets, strict=True))
        for row in np.flatnonzero(stop.passed(trace.conductance_uS) & up)
    }


def _two_pulses(numbers: Values, seen: _Seen, at: NDArray[np.intp], low: float, high: float) -> Values:
    """Log density of the read behind, given the one before: of two pulses whose read between is not known."""
    g, number = seen.before[at], seen.number[at]
    mean, sigma = _law(numbers, g, number)
    onward, further = _law(numbers, g + mean, number + 1)
    spread = np.hypot(sigma * (1 + numbers[0]), further)
    return clipped_normal(seen.after[at + 1], g + mean + onward, spread, low, high)


def _far_off(levels: Values) -> NDArray[np.bool_]:
    """Levels after RESET that are far off the others as they are and in their logarithms, unless many are."""
    far = np.ones(levels.size, np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        for values in (levels, np.log(levels)):
            off = np.abs(values - np.median(values))
            far &= off > _FAR * max(_NORMAL * float(np.median(off)), 1e-12)
    return far if far.sum() <= max(1.0, _MOST_LEVELS * far.size) else np.zeros_like(far)


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
