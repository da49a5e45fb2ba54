"""How far a fit is off where the device is known: it is repeated on data simulated with its own card, and corrected.

A device's return to the middle of its window looks faster in a short trace than it is, a filter of normal
distributions is not exact at bounds, and a bound that few devices reach is known of those alone. All of it shifts
fitted numbers, and as much where the data come from the fitted card (parametric bootstrap; B. Efron and R. J.
Tibshirani, An Introduction to the Bootstrap, 1993, ch. 10; iterated once: C. Gourieroux, A. Monfort and E. Renault,
J. Appl. Econom. 8 (1993) S85).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
_FEWEST = 0.8
"""Numbers that fewer of the repeated fits have are left as they were."""
_DIFFERENCES = frozenset({"g_min_uS", "g_max_uS", "state_max", "asymmetry"})
"""Numbers that are shifted by differences; all others are sizes, shifted by factors."""
_LARGEST = np.log(4.0)
"""Largest shift of the logarithm of a size."""
_TOLD = 0.5
"""A shift of more standard errors than this is told."""
Numbers = Mapping[str, Estimate]


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
    for _ in range(ROUNDS):
        runs = _repeated(device, pulses, fitter, resamples)
        if len(runs) < _FEWEST * resamples:
            why = f"{resamples - len(runs)} of {resamples} fits to simulated data did not settle"
            break
        better = _shifted(found, shifted, runs, len(pulses.traces))
        try:
            device = device_of(better)
        except NeurosimError as error:
            why = f"what the fits to simulated data are off makes no device: {error}"
            break
        shifted, done = better, len(runs)
    else:
        return replace(shifted, notes=(*shifted.notes, *_told(found, shifted, done)))
    kind = "Corrected once, not twice" if done else "Not corrected by fits to data simulated with this card"
    return replace(shifted, notes=(*shifted.notes, *_told(found, shifted, done), f"{kind}: {why}."))


def _repeated(
    device: Law, pulses: Pulses, fitter: Callable[[Pulses], LawFit], resamples: int
) -> list[Numbers]:
    runs: list[Numbers] = []
    for seed in range(resamples):
        try:
            with np.errstate(all="ignore"):
                runs.append(fitter(simulated(device, pulses, seed)).numbers)
        except (CapabilityError, np.linalg.LinAlgError, ArithmeticError):
            continue
    return runs


def _shifted(found: LawFit, made_with: LawFit, runs: list[Numbers], devices: int) -> LawFit:
    """Shift the numbers of a fit by what `runs` are off those of the card that they were made with."""
    numbers = {}
    few = devices < FEWEST_DEVICES
    width = stats.norm.ppf((1 + COVERAGE) / 2) if few else student(devices)
    for name, estimate in found.numbers.items():
        scale, back = (np.asarray, np.asarray) if name in _DIFFERENCES else (_logarithm, np.exp)
        seen = np.array([run[name].value for run in runs if name in run and "spread" not in name])
        seen = seen[seen > 0] if scale is _logarithm else seen
        if len(seen) < _FEWEST * len(runs) or (scale is _logarithm and estimate.value <= 0):
            numbers[name] = estimate
            continue
        low, value, high = (float(scale(end)) for end in (estimate.low, estimate.value, estimate.high))
        off = scale(seen) - float(scale(made_with.numbers[name].value))
        by = float(off.mean())
        if scale is _logarithm:
            by = float(np.clip(by, -_LARGEST, _LARGEST))
        half = width * float(off.std(ddof=1)) * np.sqrt(1 + 1 / len(seen))
        ends = value - by + np.array([-max(value - low, half), 0.0, max(high - value, half)])
        low, value, high = (float(end) for end in back(ends))
        numbers[name] = Estimate(value, low, high)
    if "g_min_uS" in numbers:
        numbers["g_min_uS"] = numbers["g_min_uS"].at_least(0.0)
    conventions = dict(found.conventions)
    if "state_max" in numbers:
        conventions["state_min"] = numbers["state_max"].value - 2, conventions["state_min"][1]
    return replace(found, numbers=numbers, conventions=conventions)


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
