"""Most likely numbers of every device and of the noise that devices share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from neurosim.devices.fitting.filtering import OWN, fit_own, innovations
from neurosim.devices.fitting.population import COVERAGE, Estimate, Values, student
from neurosim.devices.fitting.tables import Trace
from neurosim.kernels.jit import share

MANY_DEVICES = 10
"""From here on the scatter of scores between devices is used beside the information matrix."""
_LOOSE = np.array([4.0, 4.0, 1.5, 1.5])
"""Standard deviations of the weak hold on each device's logarithms."""
_NUDGE = 0.02


@dataclass(frozen=True)
class Devices:
    """Devices fitted one by one, with what they share."""

    own: Values
    """(devices, 4) numbers of each, see `neurosim.devices.fitting.filtering`."""
    covariance: Values
    """(devices, 4, 4) of their errors."""
    shared: Values
    shared_error: Values
    """Standard errors; zero for what was held."""
    log_likelihood: float
    parameters: int
    residuals: Values
    """Standardised one-step errors of all reads in turn."""

    def shared_estimate(self, k: int) -> Estimate:
        """Return the exponential of a shared number with its interval."""
        n = len(self.own)
        half = self.shared_error[k] * (student(n) if n >= MANY_DEVICES else stats.norm.ppf((1 + COVERAGE) / 2))
        low, middle, high = np.exp(self.shared[k] + half * np.array([-1, 0, 1]))
        return Estimate(float(middle), float(low), float(high))


def fit_devices(
    traces: Sequence[Trace],
    move: Callable[..., Any],
    origin: float,
    own: Values,
    shared: Values,
    free: Sequence[int],
) -> Devices:
    """Maximise the likelihood over each device's own numbers and the `free` ones of the shared.

    The shared numbers are corrected for what was spent on the devices' own (Cox & Reid, J. R. Stat. Soc. B 49,
    1987), as n - p is for n in a variance. Their errors are the larger of two: from the information matrix, and
    from the scatter of the devices' scores, which also holds where devices differ in their noise.
    """
    centre, at = own.copy(), list(free)
    stiffness = _LOOSE**-2.0

    def each(numbers: Values, start: Values) -> list[Any]:
        def one(k: int) -> Any:
            trace = traces[k]
            return fit_own(
                start[k], numbers, origin, trace.conductance_uS, trace.sign, move, centre[k], stiffness
            )

        return share(one, range(len(traces)))

    def curvature(numbers: Values, start: Values) -> float:
        return -0.5 * sum(float(np.linalg.slogdet(_held(found[3], stiffness))[1]) for found in each(numbers, start))

    for _ in range(30):
        found = each(shared, own)
        own = np.array([one[0] for one in found])
        information, scores = _profile(found, at, stiffness)
        step = _solve(information, scores.sum(axis=0))
        step *= min(1.0, 0.7 / max(float(np.abs(step).max(initial=0.0)), 1e-12))
        shared = shared.copy()
        shared[at] += step
        if float(scores.sum(axis=0) @ step) < 1e-4:
            break
    nudges = np.zeros((len(at), len(shared)))
    nudges[range(len(at)), at] = _NUDGE
    slope = [(curvature(shared + n, own) - curvature(shared - n, own)) / (2 * _NUDGE) for n in nudges]
    shared = shared.copy()
    shared[at] += np.clip(_solve(information, np.array(slope)), -0.7, 0.7)
    found = each(shared, own)
    return _collected(traces, move, origin, found, shared, at, stiffness)


def _collected(
    traces: Sequence[Trace], move: Any, origin: float, found: list[Any], shared: Values, at: list[int], stiffness: Values
) -> Devices:
    own = np.array([one[0] for one in found])
    information, scores = _profile(found, at, stiffness)
    error = np.zeros(len(shared))
    if at:
        inverse = np.linalg.pinv(information)
        variance = np.diag(inverse)
        n = len(traces)
        if n >= MANY_DEVICES:
            centred = scores - scores.mean(axis=0)
            scatter = inverse @ (centred.T @ centred) @ inverse * n / (n - 1)
            variance = np.maximum(variance, np.diag(scatter))
        error[at] = np.sqrt(variance)
    residuals = []
    for row, trace in zip(own, traces, strict=True):
        out = np.empty((2, trace.sign.size))
        innovations(row, shared, origin, trace.conductance_uS, trace.sign, move, out)
        seen = out[1] > 0
        residuals.append(out[0, seen] / np.sqrt(out[1, seen]))
    return Devices(
        own,
        np.array([np.linalg.inv(_held(one[3], stiffness)) for one in found]),
        shared,
        error,
        float(sum(one[1] for one in found)),
        own.size + len(at),
        np.concatenate(residuals),
    )


def _held(information: Values, stiffness: Values) -> Values:
    held: Values = information[:OWN, :OWN] + np.diag(stiffness)
    return held


def _profile(found: list[Any], at: list[int], stiffness: Values) -> tuple[Values, Values]:
    """Information about the shared numbers once each device's own are fitted, and each device's score."""
    columns = [OWN + k for k in at]
    total, scores = np.zeros((len(at), len(at))), np.zeros((len(found), len(at)))
    for k, (_, _, gradient, information) in enumerate(found):
        cross = information[:OWN, columns]
        total += information[np.ix_(columns, columns)] - cross.T @ np.linalg.solve(
            _held(information, stiffness), cross
        )
        scores[k] = gradient[columns]
    return total, scores


def _solve(matrix: Values, right: Values) -> Values:
    return np.linalg.lstsq(matrix, right, rcond=1e-12)[0] if len(right) else right
