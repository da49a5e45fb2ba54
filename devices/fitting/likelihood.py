"""Numbers of every device and of the noise that devices share, fitted together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from neurosim.devices.fitting.filtering import OWN, fit_own, innovations, log_likelihood, shared_score
from neurosim.devices.fitting.population import COVERAGE, Estimate, Values, student
from neurosim.devices.fitting.result import Largest, Steps
from neurosim.devices.fitting.tables import Trace
from neurosim.kernels.jit import share

MANY_DEVICES = 10
"""From here on the scatter of scores between devices is used beside the information matrix."""
LOOSE = np.array([4.0, 4.0, 1.5, 1.5])
"""Standard deviations of the weak hold on each device's logarithms."""
NOISES = 2
"""Of the shared numbers, the first are of noise."""
_NUDGE, _MOVED = 0.02, 0.05
_BEYOND = np.log(1e3)
"""Of the logarithm of a bound's distance: where no device comes."""


@dataclass(frozen=True)
class Devices:
    """Devices fitted one by one, with what they share."""

    own: Values
    """(devices, 4) numbers of each, see `neurosim.devices.fitting.filtering`."""
    covariance: Values
    """(devices, 4, 4) of their errors."""
    evidence: Values
    """(devices, 2) by how much each device's upper and lower bound raise the logarithm of its likelihood."""
    shared: Values
    shared_error: Values
    """Standard errors; zero for what was held."""
    lean: Values
    """(devices, 4, shared) by how much the own numbers follow each shared one; zero for what was held."""
    log_likelihood: float
    parameters: int
    steps: Steps
    converged: bool
    largest: Callable[[], Largest] | None = None
    """Looks for the largest likelihood near these numbers, by which laws are ranked."""

    def shared_estimate(self, k: int) -> Estimate:
        """Return the exponential of a shared number with its interval."""
        n = len(self.own)
        width = student(n) if n >= MANY_DEVICES else stats.norm.ppf((1 + COVERAGE) / 2)
        half = min(width * self.shared_error[k], 100.0)
        low, middle, high = np.exp(self.shared[k] + half * np.array([-1, 0, 1]))
        return Estimate(float(middle), float(low), float(high))


class _Problem:
    """All devices as a function of the shared numbers."""

    def __init__(
        self, traces: Sequence[Trace], move: Callable[..., Any], origin: float, centre: Values, stiffness: Values,
        of_noise: bool,
    ):  # fmt: skip
        self.traces, self.move, self.origin, self.centre = traces, move, origin, centre.copy()
        self.stiffness, self.of_noise = stiffness, of_noise
        """Only the likelihood of noise is restricted: that of a curve's numbers, which bounds hang on, would not settle."""

    def fit(self, shared: Values, start: Values) -> tuple[Values, Values, Values]:
        """Return each device's own numbers, log-likelihood and information."""

        def one(k: int) -> Any:
            seen, sign = self.traces[k].conductance_uS, self.traces[k].sign
            return fit_own(
                start[k], shared, self.origin, seen, sign, self.move, self.centre[k], self.stiffness
            )

        own, value, information = zip(*share(one, range(len(self.traces))), strict=True)
        return np.array(own), np.array(value), np.array(information)

    def scores(self, shared: Values, own: Values, at: list[int]) -> tuple[Values, Values, Values]:
        """Return each device's score (devices, free) of the shared numbers, the information of all, and `Devices.lean`.

        The devices' own numbers being fitted, what they take of the information is left out.
        """

        def one(k: int) -> Any:
            seen, sign = self.traces[k].conductance_uS, self.traces[k].sign
            return shared_score(own[k], shared, self.origin, seen, sign, self.move)

        gradient, matrix = (np.array(part) for part in zip(*share(one, range(len(own))), strict=True))
        left, taken = without_own(matrix, at, self.stiffness)
        lean = np.zeros((len(own), OWN, len(shared)))
        lean[:, :, at] = -taken
        return gradient[:, at], left.sum(axis=0), lean

    def spent(self, shared: Values, own: Values, at: list[int]) -> Values:
        """Return what fitting the devices' own numbers takes from each score (devices, free).

        The likelihood is restricted to what they leave over (Cox & Reid, J. R. Stat. Soc. B 49, 1987), as n - p
        takes the place of n in a variance.
        """
        found = np.zeros((len(own), len(at)))
        for column, k in enumerate(at):
            if self.of_noise and k >= NOISES:
                continue
            nudge = np.zeros(len(shared))
            nudge[k] = _NUDGE
            ends = [np.linalg.slogdet(self.fit(shared + side * nudge, own)[2])[1] for side in (1, -1)]
            found[:, column] = -(ends[0] - ends[1]) / (4 * _NUDGE)
        return found


def without_own(matrix: Values, at: list[int], stiffness: Values) -> tuple[Values, Values]:
    """Return the information of some shared numbers (devices, free, free), less what the devices' own take, and what they follow by."""
    columns = [OWN + k for k in at]
    cross = matrix[:, :OWN, columns]
    taken = np.asarray(np.linalg.solve(matrix[:, :OWN, :OWN] + np.diag(stiffness), cross), np.float64)
    return matrix[:, columns][:, :, columns] - np.swapaxes(cross, 1, 2) @ taken, taken


def fit_devices(
    traces: Sequence[Trace],
    move: Callable[..., Any],
    origin: float,
    own: Values,
    shared: Values,
    free: Sequence[int],
    limits: tuple[Values, Values] | None = None,
    loose: Values = LOOSE,
) -> Devices:
    """Fit each device's own numbers and the `free` ones of the shared, within limits where there are any.

    `loose` are the standard deviations of a hold on own numbers where they start.

    Errors of the shared numbers are the larger of two: from the information matrix, and from the scatter of the
    devices' scores, which also holds where devices differ in their noise.
    """
    problem, at = _Problem(traces, move, origin, own, loose**-2.0, limits is not None), list(free)
    shared = shared.copy()
    spent, spent_at = np.zeros((len(own), len(at))), np.full(len(shared), np.inf)
    pace, before, converged = 1.0, np.zeros(len(at)), False
    for _ in range(60):
        own, value, information = problem.fit(shared, own)
        if at and np.abs(shared - spent_at).max() > _MOVED:
            spent, spent_at = problem.spent(shared, own, at), shared.copy()
        score, matrix, lean = problem.scores(shared, own, at)
        score = score + spent
        step = np.linalg.lstsq(matrix, score.sum(axis=0), rcond=1e-10)[0] if at else np.zeros(0)
        if limits is not None:
            step = _inward(step, score.sum(axis=0), matrix, shared[at], limits[0][at], limits[1][at])
        if float(np.abs(score.sum(axis=0) @ step)) < 1e-3:
            converged = True
            break
        pace = 0.5 * pace if step @ before < 0 else min(1.0, 1.3 * pace)
        before = step
        shared[at] += pace * step * min(1.0, 0.7 / float(np.abs(step).max()))
        if limits is not None:
            shared = np.clip(shared, *limits)
    return Devices(
        own,
        np.linalg.inv(information).astype(np.float64),
        bound_gains(traces, own, value, shared, origin, move),
        shared,
        _shared_error(score, matrix, at, len(shared)),
        lean,
        float(value.sum()),
        own.size + len(at),
        _predicted(traces, own, shared, origin, move),
        converged,
    )


def _inward(step: Values, score: Values, matrix: Values, here: Values, low: Values, high: Values) -> Values:
    """Step of those numbers that it does not lead out of their limits."""
    found = step
    for _ in range(step.size):
        inside = ~((here <= low) & (found < 0) | (here >= high) & (found > 0))
        if inside.all():
            break
        inside &= found != 0
        found = np.zeros_like(step)
        if inside.any():
            found[inside] = np.linalg.lstsq(matrix[np.ix_(inside, inside)], score[inside], rcond=1e-10)[0]
    return found


def _shared_error(score: Values, information: Values, at: list[int], size: int) -> Values:
    error = np.zeros(size)
    if at:
        n = len(score)
        inverse = np.linalg.pinv(information)
        variance = np.diag(inverse)
        if n >= MANY_DEVICES:
            centred = score - score.mean(axis=0)
            scatter = inverse @ (centred.T @ centred) @ inverse * n / (n - 1)
            variance = np.maximum(variance, np.diag(scatter))
        error[at] = np.sqrt(variance)
    return error


def bound_gains(
    traces: Sequence[Trace], own: Values, value: Values, shared: Values, origin: float, move: Any
) -> Values:
    """Return by how much each device's upper and lower bound (devices, 2) raise the logarithm of its likelihood, `value`."""
    found = np.empty((len(own), 2))
    for k, trace in enumerate(traces):
        for side in (0, 1):
            without = own[k].copy()
            without[2 + side] += _BEYOND
            out = np.empty((2, trace.sign.size))
            innovations(without, shared, origin, trace.conductance_uS, trace.sign, move, out)
            found[k, side] = value[k] - log_likelihood(out)
    return found


def _predicted(traces: Sequence[Trace], own: Values, shared: Values, origin: float, move: Any) -> Steps:
    found = []
    for row, trace in zip(own, traces, strict=True):
        out = np.empty((2, trace.sign.size))
        innovations(row, shared, origin, trace.conductance_uS, trace.sign, move, out)
        at = np.flatnonzero(out[1] > 0)
        before, seen = trace.conductance_uS[at - 1], trace.conductance_uS[at]
        expected = seen - out[0, at] - before
        found.append(
            Steps(
                np.full(at.size, trace.device),
                at,
                trace.sign[at],
                before,
                seen - before,
                expected,
                np.sqrt(out[1, at]),
            )
        )
    return Steps.joined(found)
