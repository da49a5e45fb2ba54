"""Drift exponent and its spread, and the error of programming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from neurosim.core.errors import CapabilityError, DataError
from neurosim.devices.fitting.maximum import clipped_normal, ends, maximise
from neurosim.devices.fitting.population import COVERAGE, Estimate, Values, population
from neurosim.devices.fitting.tables import Drift, Programming


@dataclass(frozen=True)
class DriftFit:
    """G(t) = G (t / t0)^-nu, an exponent for each device."""

    exponent: Estimate
    spread: Estimate | None
    reference_s: float
    exponents: Values
    errors: Values
    residual: float
    """Standard deviation of ln G about the devices' own lines."""


@dataclass(frozen=True)
class ProgrammingFit:
    """Standard deviation of the programming error against the target, and as one share of the window."""

    polynomial: tuple[Estimate, ...]
    """c0, c1, c2 in uS of sigma = c0 + c1 g + c2 g^2, g = target / g_max; fewer with fewer than three targets."""
    tolerance: Estimate
    """Root mean square error as a share of the window."""
    mean_error_uS: Estimate
    g_max_uS: float
    residuals: Values


def fit_drift(data: Drift) -> DriftFit:
    """Fit one power law to each device; mean and spread of the exponents over devices.

    Raises
    ------
    DataError
        If conductances grow with time: there is no law for that.
    """
    exponents, errors, squares, freedom = [], [], 0.0, 0
    for _, times, conductance in data.devices:
        x, y = np.log(times), np.log(conductance)
        x = x - x.mean()
        slope = float(x @ y / (x @ x))
        left = y - y.mean() - slope * x
        exponents.append(-slope)
        errors.append(1 / float(np.sqrt(x @ x)))
        squares += float(left @ left)
        freedom += x.size - 2
    residual = float(np.sqrt(squares / freedom))
    found, error = np.array(exponents), residual * np.array(errors)
    over = population(found, error)
    if over.mean.high < 0:
        raise DataError(
            f"{data.source}: conductances grow with time (as t^{-over.mean.value:.3g}); drift laws describe decay only"
        )
    return DriftFit(over.mean, over.spread, float(data.devices[0][1][0]), found, error, residual)


def fit_programming(data: Programming, g_min_uS: float, g_max_uS: float) -> ProgrammingFit:
    """Fit the standard deviation of the programming error as a polynomial of the target, and as a constant.

    Raises
    ------
    DataError
        If there is no error, or none that a polynomial describes.
    """
    if not (data.achieved_uS != data.target_uS).any():
        raise DataError(f"{data.source}: every target was reached exactly; there is no error to fit")
    g = data.target_uS / g_max_uS
    error = data.achieved_uS - data.target_uS
    low, high = ends(data.achieved_uS)
    powers = np.stack([g**k for k in range(min(3, np.unique(g).size))], axis=1)
    least = 1e-3 * float(error.std()) + 1e-9

    def terms(numbers: Values) -> Values:
        sigma = np.maximum(powers @ numbers, least)
        return clipped_normal(data.achieved_uS, data.target_uS, sigma, low, high)

    size = np.abs(error) * np.sqrt(np.pi / 2)
    start = np.linalg.lstsq(powers, size, rcond=None)[0]
    if (powers @ start).min() <= 0:
        start = np.array([float(size.mean()), 0.0, 0.0])[: len(start)]
    try:
        best = maximise(terms, start, np.arange(g.size))
    except CapabilityError:
        raise DataError(
            f"{data.source}: no polynomial of the target describes the programming error"
        ) from None
    inside = (data.achieved_uS > low) & (data.achieved_uS < high)
    n, window = g.size, g_max_uS - g_min_uS
    rms = float(np.sqrt(np.mean(error**2)))
    tails = stats.chi2.ppf([(1 + COVERAGE) / 2, (1 - COVERAGE) / 2], n)
    share = [rms / window * float(np.sqrt(n / tail)) for tail in tails]
    mean = float(error.mean())
    half = float(stats.t.ppf((1 + COVERAGE) / 2, n - 1) * error.std(ddof=1) / np.sqrt(n))
    return ProgrammingFit(
        tuple(best.estimate(k) for k in range(len(start))),
        Estimate(rms / window, share[0], share[1]),
        Estimate(mean, mean - half, mean + half),
        g_max_uS,
        (error / np.maximum(powers @ best.numbers, least))[inside],
    )
