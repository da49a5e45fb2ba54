"""How far a fit is off where the device is known: it is repeated on data simulated with its own card, and corrected.

A device's return to the middle of its window looks faster in a short trace than it is, a filter of normal
distributions is not exact at bounds, and a bound that few devices reach is known of those alone. All of it shifts
fitted numbers, and as much where the data come from the fitted card. What is written as a share of the window is compared in uS
where an end of it was not reached, in the data or in one of the simulated sets: it is then that of what was seen, and each set of data shows another (parametric bootstrap; B. Efron and R. J.
Tibshirani, An Introduction to the Bootstrap, 1993, ch. 10; iterated once: C. Gourieroux, A. Monfort and E. Renault,
J. Appl. Econom. 8 (1993) S85).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import stats

from neurosim.core.errors import CapabilityError, InputError, NeurosimError
from neurosim.devices.fitting.population import COVERAGE, FEWEST_DEVICES, Estimate, Values, student
from neurosim.devices.fitting.result import LawFit
from neurosim.devices.fitting.tables import Pulses
from neurosim.devices.law import Law
from neurosim.devices.response import as_read, fresh
from neurosim.kernels.cells import pulse_counted

RESAMPLES = 12
"""Sets of data that a fit is repeated on, in each of two rounds."""
ROUNDS = 2
FEWEST_RESAMPLES = 2
REPEATED = "fits to simulated data"
Progress = Callable[[str, int, int], None]
"""Called with what is done, how many of them are, and of how many."""
_FEWEST = 0.8
"""Numbers that fewer of the repeated fits have are left as they were."""
_DIFFERENCES = frozenset({"g_min_uS", "g_max_uS", "state_max", "asymmetry"})
"""Numbers that are shifted by differences; all others are sizes, shifted by factors."""
_WINDOW = ("g_min_uS", "g_max_uS")
_LARGEST = np.log(4.0)
"""Largest shift of the logarithm of a size."""
_TOLD = 0.5
"""A shift of more standard errors than this is told."""


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody how far a fit is."""


def simulated(device: Law, pulses: Pulses, seed: int) -> Pulses:
    """Return traces of fresh devices of a law of small steps under the pulses of measured ones.

    Each run begins at the conductance where the measured one began.
    """
    count, rows = len(pulses.traces), max(trace.sign.size for trace in pulses.traces)
    signs, starts = np.zeros((rows, count), np.int64), np.zeros((rows, count), bool)
    measured = np.zeros((rows, count), np.float32)
    for k, trace in enumerate(pulses.traces):
        signs[: trace.sign.size, k] = trace.sign
        starts[: trace.sign.size, k] = trace.sign == 0
        measured[: trace.sign.size, k] = trace.conductance_uS
    state, params, keys = fresh(device, count, seed)
    seen = np.empty((rows, count))
    for row in range(rows):
        pulse_counted(signs[row], state, params, 0.0, row + 1, keys["pulse"], device.kernels.pulse)
        at = starts[row]
        state.persistent[at] = np.clip(measured[row], state.lower, state.upper)[at]
        state.conductance[at] = state.persistent[at]
        seen[row] = as_read(device, state, params)
    traces = tuple(
        replace(trace, conductance_uS=seen[: trace.sign.size, k].copy())
        for k, trace in enumerate(pulses.traces)
    )
    return replace(pulses, traces=traces)


def corrected(
    found: LawFit,
    pulses: Pulses,
    device_of: Callable[[LawFit], Law],
    fitter: Callable[[Pulses], LawFit],
    resamples: int = RESAMPLES,
    progress: Progress = silent,
) -> LawFit:
    """Return a fit shifted by what fits to data simulated with its card are off, its intervals no narrower than these scatter.

    Parameters
    ----------
    found : LawFit
        Fit to `pulses`.
    pulses : Pulses
    device_of : callable
        From a fit to the device of its card.
    fitter : callable
        That made `found`.
    resamples : int
        Simulated sets of data in each of two rounds, two at least; 0 leaves the fit as it is.
    progress : callable, optional
        Called with what is done, how many of them are, and of how many.

    Returns
    -------
    LawFit
        With a note of what moved, or of why nothing did.

    Raises
    ------
    InputError
        If `resamples` is 1 or negative.
    """
    if not resamples:
        return found
    if resamples < FEWEST_RESAMPLES:
        raise InputError(
            f"resamples = {resamples}: the scatter of fits needs {FEWEST_RESAMPLES}; 0 corrects nothing"
        )
    shifted, done, device = found, 0, device_of(found)
    for turn in range(ROUNDS):
        runs = _repeated(device, pulses, fitter, resamples, turn, progress)
        if len(runs) < _FEWEST * resamples:
            why = f"{resamples - len(runs)} of {resamples} fits to simulated data did not settle"
            break
        try:
            better = _shifted(found, shifted, runs, len(pulses.traces))
            device = device_of(better)
        except (NeurosimError, ArithmeticError) as error:
            why = f"what the fits to simulated data are off makes no device: {error}"
            break
        shifted, done = better, len(runs)
    else:
        return replace(shifted, notes=(*shifted.notes, *_told(found, shifted, done)))
    kind = "Corrected once, not twice" if done else "Not corrected by fits to data simulated with this card"
    return replace(shifted, notes=(*shifted.notes, *_told(found, shifted, done), f"{kind}: {why}."))


def _repeated(
    device: Law,
    pulses: Pulses,
    fitter: Callable[[Pulses], LawFit],
    resamples: int,
    turn: int,
    progress: Progress,
) -> list[LawFit]:
    runs: list[LawFit] = []
    for seed in range(resamples):
        progress(REPEATED, turn * resamples + seed, ROUNDS * resamples)
        try:
            with np.errstate(all="ignore"):
                runs.append(fitter(simulated(device, pulses, seed)))
        except (CapabilityError, np.linalg.LinAlgError, ArithmeticError):
            continue
    progress(REPEATED, (turn + 1) * resamples, ROUNDS * resamples)
    return runs


def _shifted(found: LawFit, made_with: LawFit, runs: list[LawFit], devices: int) -> LawFit:
    """Shift the numbers of a fit by what `runs` are off those of the card that they were made with."""
    few = devices < FEWEST_DEVICES
    width = stats.norm.ppf((1 + COVERAGE) / 2) if few else student(devices)
    shifted = replace(found, numbers=dict(found.numbers), conventions=dict(found.conventions))
    shares = all({*_WINDOW} <= fit.numbers.keys() for fit in (found, *runs))
    for name in sorted(found.numbers, key=_turn):
        estimate = found.numbers[name]
        scale, back = (np.asarray, np.asarray) if name in _DIFFERENCES else (_logarithm, np.exp)
        told = [run for run in runs if name in run.numbers and "spread" not in name]
        seen = np.array([_free(run, name, shares) for run in told])
        kept = seen > 0 if scale is _logarithm else np.ones(len(seen), np.bool_)
        if kept.sum() < _FEWEST * len(runs) or (scale is _logarithm and estimate.value <= 0):
            stays = [_free(found, name, shares, end) for end in (estimate.low, estimate.value, estimate.high)]
            low, value, high = sorted(_written(shifted, name, shares, end) for end in stays)
            shifted.numbers[name] = Estimate(value, low, high)
            continue
        off = scale(seen[kept]) - float(scale(np.array(_free(made_with, name, shares))))
        by = float(off.mean())
        if scale is _logarithm:
            by = float(np.clip(by, -_LARGEST, _LARGEST))
        ends = [
            scale(np.array(_free(found, name, shares, end)))
            for end in (estimate.low, estimate.value, estimate.high)
        ]
        low, value, high = sorted(map(float, ends))
        half = width * float(off.std(ddof=1)) * np.sqrt(1 + 1 / len(off))
        moved = value - by + np.array([-max(value - low, half), 0.0, max(high - value, half)])
        low, value, high = sorted(_written(shifted, name, shares, float(end)) for end in back(moved))
        shifted.numbers[name] = Estimate(value, low, high)
        if name == "g_min_uS":
            shifted.numbers[name] = shifted.numbers[name].at_least(0.0)
        if name == "state_max":
            shifted.conventions["state_min"] = value - 2, shifted.conventions["state_min"][1]
    order = {name: shifted.numbers[name] for name in found.numbers}
    return replace(shifted, numbers=order)


def _turn(name: str) -> int:
    """The window comes first, then where rest lies in it: numbers in shares of it need both."""
    return 0 if name in _WINDOW else 1 if name == "state_max" else 2


def _given(fit: LawFit, name: str) -> float:
    return fit.numbers[name].value if name in fit.numbers else fit.conventions[name][0]


def _half_uS(fit: LawFit) -> float:
    return (_given(fit, "g_max_uS") - _given(fit, "g_min_uS")) / 2


def _unit_uS(fit: LawFit, name: str, shares: bool) -> float:
    """What a number is a share of, in uS, or one over it; 1 where it does not hang on the window, or is compared as a share."""
    if shares:
        return 1.0
    if name == "step":
        return _half_uS(fit)
    if name in ("slope_up", "slope_down"):
        above = _given(fit, "state_max")
        return 1 / (_half_uS(fit) * (above if name == "slope_up" else 2 - above))
    return 1.0


def _free(fit: LawFit, name: str, shares: bool, value: float | None = None) -> float:
    """A number of a fit, or another value of it, free of the window that it is written with, unless `shares` are compared."""
    value = fit.numbers[name].value if value is None else value
    if name == "state_max" and not shares:  # where rest lies
        return _given(fit, "g_max_uS") - value * _half_uS(fit)
    return value * _unit_uS(fit, name, shares)


def _written(fit: LawFit, name: str, shares: bool, value: float) -> float:
    """The number of a fit that `_free` makes this value of."""
    if name == "state_max" and not shares:
        return (_given(fit, "g_max_uS") - value) / _half_uS(fit)
    return value / _unit_uS(fit, name, shares)


def _logarithm(value: Values | float) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(np.asarray(value) > 0, np.log(np.maximum(value, 1e-300)), -np.inf))


def _told(found: LawFit, shifted: LawFit, runs: int) -> tuple[str, ...]:
    moved = []
    for name, before in found.numbers.items():
        after = shifted.numbers[name]
        if 4 * abs(after.value - before.value) > _TOLD * (after.high - after.low):
            moved.append(f"{name} from {before.value:.3g} to {after.value:.3g}")
    if not moved:
        return ()
    return (
        f"Corrected by what fits to {runs} sets of data simulated with this card are off: {', '.join(moved)}.",
    )
