"""Mean and spread over devices, apart from the error with which each device is known.

A device's value x_i has a standard error s_i of its own, x_i ~ N(mean, spread^2 + s_i^2). The spread is that of
Paule and Mandel (J. Res. NBS 87, 1982), its interval by the profile of Cochran's Q (Viechtbauer, Stat. Med. 26,
2007), the mean's interval by Hartung and Knapp (Stat. Med. 20, 2001). All are exact for equal errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import brentq, minimize

FEWEST_DEVICES = 3
"""With fewer devices no spread is estimated."""
COVERAGE = 0.95
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A fitted number with its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        """Return the same in another unit."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def at_least(self, least: float) -> Estimate:
        """Return the estimate where it is allowed to be."""
        return Estimate(*(max(end, least) for end in (self.value, self.low, self.high)))

    def drawn(self, normal: float) -> float:
        """Return the value at a standard normal number: of a lognormal where the interval is above zero, or below it."""
        if self.high < 0:
            return -Estimate(-self.value, -self.high, -self.low).drawn(normal)
        sure = float(stats.norm.ppf((1 + COVERAGE) / 2))
        if self.low > 0:
            return self.value * float(np.exp(normal * np.log(self.high / self.low) / (2 * sure)))
        found = self.value + normal * (self.high - self.low) / (2 * sure)
        return found if self.value < 0 else max(found, 0.0)

    def widened(self, half_width: float) -> Estimate:
        """Return the estimate once divided by a number with an interval of its own, of that relative half width."""
        if half_width == 0 or self.value <= 0:
            return self
        up = np.hypot(np.log(self.high / self.value), half_width)
        down = np.hypot(np.log(self.value / self.low), half_width) if self.low > 0 else np.inf
        return Estimate(self.value, float(self.value * np.exp(-down)), float(self.value * np.exp(up)))


@dataclass(frozen=True)
class Population:
    """Mean and standard deviation over devices."""

    mean: Estimate
    spread: Estimate | None
    """None with fewer than three devices."""
    weights: Values
    """Share of each device in the mean."""


def population(values: ArrayLike, errors: ArrayLike) -> Population:
    """Estimate mean and spread over devices from each device's value and its standard error.

    Parameters
    ----------
    values, errors : (n,) array_like
        Estimate of each device and its standard error.
    """
    x, variance = np.asarray(values, np.float64), np.square(np.asarray(errors, np.float64))
    n = x.size
    between = _between(x, variance, n - 1.0) if n > 1 else 0.0
    weight = 1 / (variance + between + 1e-300)
    mean = float(weight @ x / weight.sum())
    excess = max(1.0, float(weight @ (x - mean) ** 2) / (n - 1)) if n > 1 else 1.0
    error = float(np.sqrt(excess / weight.sum()))
    half = error * (student(n) if n > 1 else stats.norm.ppf((1 + COVERAGE) / 2))
    spread = None
    if n >= FEWEST_DEVICES:
        tails = stats.chi2.ppf([(1 + COVERAGE) / 2, (1 - COVERAGE) / 2], n - 1)
        low, high = (float(np.sqrt(_between(x, variance, tail))) for tail in tails)
        spread = Estimate(float(np.sqrt(between)), low, high)
    return Population(Estimate(mean, mean - half, mean + half), spread, weight / weight.sum())


def censored(x: Values, variance: Values, beyond: Values, weight: Values) -> tuple[float, float]:
    """Return mean and spread of a normal population of which some members are only known to lie beyond a value.

    Parameters
    ----------
    x, variance : (known,) array
        Values of the members that are known, and the variances of their errors.
    beyond : (others,) array
        What the values of the others exceed.
    weight : (known + others,) array
        Of each member's likelihood.

    References
    ----------
    J. Tobin, Estimation of relationships for limited dependent variables, Econometrica 26 (1958) 24-36.
    """
    known, others = weight[: x.size], weight[x.size :]
    scale = float(x.std()) or float(np.sqrt(variance.mean())) or 1.0

    def minus(at: Values) -> float:
        mean, spread = at[0], np.exp(at[1])
        sigma = np.sqrt(variance + spread**2)
        seen = known @ stats.norm.logpdf(x, mean, sigma)
        return -float(seen + others @ stats.norm.logsf(beyond, mean, spread))

    start = np.array([x.mean(), np.log(scale)])
    found = minimize(minus, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    return float(found.x[0]), float(np.exp(found.x[1]))


def _between(x: Values, variance: Values, wanted: float) -> float:
    """Variance between devices at which the weighted sum of squares about the mean has the wanted value."""

    def excess(between: float) -> float:
        weight = 1 / (variance + between)
        return float(weight @ (x - weight @ x / weight.sum()) ** 2) - wanted

    largest = float(np.sum((x - x.mean()) ** 2)) / wanted
    smallest = 1e-12 * largest
    if largest == 0 or excess(smallest) <= 0:
        return 0.0
    return float(brentq(excess, smallest, largest * (1 + 1e-9), xtol=1e-15 * largest, rtol=1e-10))


def student(devices: int) -> float:
    """Half width of a 95 % interval in standard errors, for a mean over so many devices."""
    return float(stats.t.ppf((1 + COVERAGE) / 2, devices - 1))


def jackknife(number: Callable[[Values], Any], devices: int) -> tuple[Values, Values]:
    """Return numbers made from all devices and their standard errors, leaving out one device at a time.

    Parameters
    ----------
    number : callable
        From the weight of each device, (devices,), to an array of numbers.
    devices : int
        At least two.
    """
    everyone = np.ones(devices)
    without = np.array([number(everyone - row) for row in np.eye(devices)])
    scatter = np.sum((without - without.mean(axis=0)) ** 2, axis=0)
    return np.asarray(number(everyone)), np.sqrt(scatter * (devices - 1) / devices)


def proportion(count: int, total: int) -> Estimate:
    """Return a share with Wilson's interval."""
    found = stats.binomtest(count, total).proportion_ci(COVERAGE, method="wilson")
    return Estimate(count / total, float(found.low), float(found.high))
