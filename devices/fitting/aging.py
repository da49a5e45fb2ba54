"""Drift exponent and its spread, and the error of programming: systematic and random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from neurosim.core.errors import CapabilityError, DataError
from neurosim.devices.fitting.maximum import Maximum, clipped_normal, ends, maximise
from neurosim.devices.fitting.population import COVERAGE, Estimate, Values, population
from neurosim.devices.fitting.tables import Drift, Programming

_BY_CHANCE = 1e-3
"""A systematic error, or another exponent at another conductance, is taken for real where chance makes one in so few
data sets."""
_FEWEST_AT_NODE, _MOST_NODES = 8, 4
"""Devices for each conductance at which an exponent is given, and the most of these."""
_APART = 5.0
"""Conductances must differ by so many standard errors, for exponents to be compared between them."""


@dataclass(frozen=True)
class DriftFit:
    """G(t) = G (t / t0)^-nu, an exponent for each device; below zero, conductances grow."""

    exponent: Estimate
    spread: Estimate | None
    reference_s: float
    exponents: Values
    errors: Values
    residual: float
    """Standard deviation of ln G about the devices' own lines."""
    at: tuple[tuple[float, Estimate], ...] = ()
    """Conductances at the reference time, uS, and the mean exponents there; empty where it is the same at every one."""


@dataclass(frozen=True)
class ProgrammingFit:
    """Standard deviation of the programming error against the target, and as one share of the window."""

    polynomial: tuple[Estimate, ...]
    """c0, c1, c2 in uS of sigma = c0 + c1 g + c2 g^2, g = target / g_max; fewer with fewer than three targets."""
    tolerance: Estimate
    """Root mean square error, without the systematic one, as a share of the window."""
    g_max_uS: float
    bias: tuple[Estimate, ...] = ()
    """b0, b1, ... in uS of the systematic error b0 + b1 g + ...; empty where there is none beyond chance."""
    bias_at: tuple[tuple[float, Estimate], ...] = ()
    """Lowest and highest target, uS, and the systematic error there."""

    def bias_uS(self, target_uS: Values) -> Values:
        """Systematic error at targets."""
        found: Values = sum(
            (b.value * (target_uS / self.g_max_uS) ** k for k, b in enumerate(self.bias)), 0.0 * target_uS
        )
        return found


def fit_drift(data: Drift) -> DriftFit:
    """Fit one power law to each device; mean and spread of the exponents over devices, at several conductances where
    they differ between them."""
    reference = float(data.devices[0][1][0])
    exponents, errors, starts, lever, squares, freedom = [], [], [], [], 0.0, 0
    for _, times, conductance in data.devices:
        x, y = np.log(times / reference), np.log(conductance)
        middle = float(x.mean())
        x = x - middle
        slope = float(x @ y / (x @ x))
        left = y - y.mean() - slope * x
        exponents.append(-slope)
        errors.append(1 / float(np.sqrt(x @ x)))
        starts.append(float(y.mean()) - slope * middle)
        lever.append(middle)
        squares += float(left @ left)
        freedom += x.size - 2
    residual = float(np.sqrt(squares / freedom))
    found, error = np.array(exponents), residual * np.array(errors)
    over = population(found, error)
    at, spread = _by_conductance(found, error, np.array(starts), np.array(lever), residual), over.spread
    if at:
        spread = at[1]
    return DriftFit(over.mean, spread, reference, found, error, residual, at[0] if at else ())


def _by_conductance(
    exponents: Values, errors: Values, starts: Values, lever: Values, residual: float
) -> tuple[tuple[tuple[float, Estimate], ...], Estimate | None] | None:
    """Return mean exponents at a few conductances and their spread about them; None where they do not differ.

    What is fitted is the table of the card, linear between its nodes, by weighted least squares; Fisher's test holds it
    against one number. The error of an exponent is also one of the conductance at the reference time, `starts`: what
    this alone makes of the exponents (`lever` times their variance, for the variance of `starts`) is taken off before.
    """
    nodes = min(_MOST_NODES, exponents.size // _FEWEST_AT_NODE)
    wide = float(starts.std())
    if nodes < 2 or wide <= _APART * float(np.sqrt(np.mean((lever * errors) ** 2) + residual**2 / 3)):
        return None
    exponents = exponents - float(np.mean(lever * errors**2)) / wide**2 * (starts - starts.mean())
    places = np.array([np.exp(part.mean()) for part in np.array_split(np.sort(starts), nodes)])
    hats = np.stack([np.interp(np.exp(starts), places, row) for row in np.eye(nodes)], axis=1)
    between, freedom = 0.0, exponents.size - nodes
    for _ in range(3):
        weight = 1 / (errors**2 + between**2 + 1e-300)
        covariance = np.linalg.pinv(hats.T @ (weight[:, None] * hats))
        means = covariance @ hats.T @ (weight * exponents)
        spread = population(exponents - hats @ means, errors).spread
        between = 0.0 if spread is None else spread.value
    one = float(weight @ exponents / weight.sum())
    within = float(weight @ (exponents - hats @ means) ** 2)
    among = float(weight @ (exponents - one) ** 2) - within
    if stats.f.sf(among / (nodes - 1) / max(within / freedom, 1e-300), nodes - 1, freedom) >= _BY_CHANCE:
        return None
    half = stats.t.ppf((1 + COVERAGE) / 2, freedom) * np.sqrt(
        np.diag(covariance) * max(1.0, within / freedom)
    )
    table = (
        (g, Estimate(m, m - h, m + h))
        for g, m, h in zip(*(v.tolist() for v in (places, means, half)), strict=True)
    )
    return tuple(table), spread


def fit_programming(data: Programming, g_min_uS: float, g_max_uS: float) -> ProgrammingFit:
    """Fit the standard deviation of the programming error as a polynomial of the target, and as a constant.

    A systematic error is fitted with it, as a polynomial of as many coefficients as the likelihood asks for, and is not
    in the spread.

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
    count = powers.shape[1]
    best: Maximum | None = None
    for order in range(count + 1):
        try:
            tried = _programming(data, powers, order, (low, high))
        except CapabilityError:
            continue
        more = tried.numbers.size - (0 if best is None else best.numbers.size)
        gain = np.inf if best is None else 2 * (tried.log_likelihood - best.log_likelihood)
        if stats.chi2.sf(gain, more) < _BY_CHANCE:
            best = tried
    if best is None:
        raise DataError(f"{data.source}: no polynomial of the target describes the programming error")
    bias, covariance = best.numbers[count:], best.covariance[count:, count:]
    off = powers[:, : bias.size] @ bias
    n, window = g.size, g_max_uS - g_min_uS
    rms = float(np.sqrt(np.sum((error - off) ** 2) / (n - bias.size)))
    tails = stats.chi2.ppf([(1 + COVERAGE) / 2, (1 - COVERAGE) / 2], n - bias.size)
    share = [rms / window * float(np.sqrt((n - bias.size) / tail)) for tail in tails]
    places = []
    for target in (float(data.target_uS.min()), float(data.target_uS.max())):
        here = (target / g_max_uS) ** np.arange(bias.size)
        width = float(stats.norm.ppf((1 + COVERAGE) / 2) * np.sqrt(here @ covariance @ here))
        value = float(here @ bias)
        places.append((target, Estimate(value, value - width, value + width)))
    return ProgrammingFit(
        tuple(best.estimate(k) for k in range(count)),
        Estimate(rms / window, share[0], share[1]),
        g_max_uS,
        tuple(best.estimate(k) for k in range(count, best.numbers.size)),
        tuple(places) if bias.size else (),
    )


def _least(error: Values) -> float:
    """Smallest standard deviation of the programming error."""
    return 1e-3 * float(error.std()) + 1e-9


def _programming(data: Programming, powers: Values, order: int, limits: tuple[float, float]) -> Maximum:
    """Most likely coefficients of the spread, and behind them `order` ones of the systematic error."""
    count, error = powers.shape[1], data.achieved_uS - data.target_uS
    least, mean = _least(error), powers[:, :order]

    def terms(numbers: Values) -> Values:
        sigma = np.maximum(powers @ numbers[:count], least)
        return clipped_normal(data.achieved_uS, data.target_uS + mean @ numbers[count:], sigma, *limits)

    bias = np.linalg.lstsq(mean, error, rcond=None)[0]
    size = np.abs(error - mean @ bias) * np.sqrt(np.pi / 2)
    start = np.linalg.lstsq(powers, size, rcond=None)[0]
    if (powers @ start).min() <= 0:
        start = np.array([float(size.mean()), 0.0, 0.0])[:count]
    return maximise(terms, np.concatenate([start, bias]), np.arange(error.size))
