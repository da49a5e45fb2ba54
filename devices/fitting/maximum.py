"""Maximum likelihood of a few numbers that all devices share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize
from scipy.special import log_ndtr

from neurosim.core.errors import CapabilityError
from neurosim.devices.fitting.population import COVERAGE, Estimate, Values, student

MANY_GROUPS = 10
_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Maximum:
    """Most likely numbers and their covariance."""

    numbers: Values
    covariance: Values
    log_likelihood: float
    groups: int

    def estimate(self, k: int) -> Estimate:
        """Return one number with its 95 % interval."""
        many = self.groups >= MANY_GROUPS
        width = student(self.groups) if many else stats.norm.ppf((1 + COVERAGE) / 2)
        half = width * float(np.sqrt(self.covariance[k, k]))
        value = float(self.numbers[k])
        return Estimate(value, value - half, value + half)


def maximise(terms: Callable[[Values], Values], start: Values, groups: NDArray[np.intp]) -> Maximum:
    """Maximise the sum of `terms`, the log density of each observation.

    The covariance is the inverse information; from ten groups on each number has the larger variance of it and of the
    sandwich that takes the observations of a group (a device) for dependent, its correlations stay. Raises `CapabilityError` where the likelihood
    has no maximum.

    Parameters
    ----------
    terms : callable
        From (p,) numbers to (n,) log densities.
    start : (p,) array
    groups : (n,) array of int
        Group of each observation.
    """
    scale = np.maximum(np.abs(start), 1e-3)

    def minus(scaled: Values) -> float:
        return -float(terms(scaled * scale).sum()) / len(groups)

    found = minimize(minus, start / scale, method="BFGS", options={"gtol": 1e-7, "maxiter": 500})
    found = minimize(
        minus, found.x, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-11, "maxiter": 2000}
    )
    found = minimize(minus, found.x, method="BFGS", options={"gtol": 1e-8, "maxiter": 500})
    numbers = found.x * scale
    information, scores = _derivatives(terms, numbers, scale)
    covariance: Values = np.linalg.pinv(information).astype(np.float64)
    if not (np.isfinite(covariance).all() and (np.diag(covariance) > 0).all()):
        raise CapabilityError("the data do not tell its numbers apart")
    count = int(groups.max()) + 1
    if count >= MANY_GROUPS:
        summed = np.zeros((count, len(start)))
        np.add.at(summed, groups, scores)
        sandwich = covariance @ (summed.T @ summed) @ covariance * count / (count - 1)
        wide = np.sqrt(np.maximum(np.diag(sandwich) / np.diag(covariance), 1))
        covariance = covariance * np.outer(wide, wide)
    return Maximum(numbers, covariance, float(terms(numbers).sum()), count)


def _derivatives(terms: Callable[[Values], Values], at: Values, scale: Values) -> tuple[Values, Values]:
    """Negative second derivatives of the sum and first derivatives of each term."""
    steps = np.diag(1e-3 * scale)
    size = len(at)
    matrix = np.empty((size, size))
    for i in range(size):
        for j in range(i + 1):
            corners = [
                float(terms(at + a * steps[i] + b * steps[j]).sum())
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            second = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * steps[i, i] * steps[j, j])
            matrix[i, j] = matrix[j, i] = -second
    slopes = [(terms(at + steps[k]) - terms(at - steps[k])) / (2 * steps[k, k]) for k in range(size)]
    return matrix, np.stack(slopes, axis=1)


def ends(values: Values) -> tuple[float, float]:
    """Return the smallest and largest value where a clip shows by repetition, else infinities."""
    low, high = float(values.min()), float(values.max())
    return (
        low if np.count_nonzero(values == low) > 2 else -np.inf,
        high if np.count_nonzero(values == high) > 2 else np.inf,
    )


def clipped_normal(values: Values, mean: Values, sigma: Values, low: float, high: float) -> Values:
    """Log density of normals clipped to [low, high], point masses at its ends."""
    z = (values - mean) / sigma
    found: Values = -0.5 * z**2 - np.log(sigma) - _HALF_LOG_2PI
    found = np.where(values <= low, log_ndtr(z), found)
    return np.where(values >= high, log_ndtr(-z), found)
