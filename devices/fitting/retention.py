"""How states age beyond a power of time: exponential loss towards rest, sooner when hot, and relaxation along ln t.

All are held against the reads as shares of themselves, so that the same errors decide between them and a power law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import least_squares

from neurosim.devices.fitting.aging import DriftFit, fit_drift
from neurosim.devices.fitting.population import COVERAGE, Estimate, Population, Values, population
from neurosim.devices.fitting.tables import STEADY_K, Drift

BOLTZMANN_EV_PER_K = 8.617333e-05
REFERENCE_K = 300.0
"""Temperature that a time constant refers to; that of the laws."""
CLEAR = 10.0
"""Difference of Schwarz's criterion from which another law than a power of time is taken."""
_BY_CHANCE = 1e-3
_MANY = 10
"""Records from which on their scatter is used beside the errors of single reads."""
_FEWEST = 3
_WIDEST = 80.0
"""Largest magnitude of a logarithm, within single precision."""
_TIMES = (0.1, 1.0, 10.0)
"""First guesses of the time constant, in longest times."""


@dataclass(frozen=True)
class RetentionFit:
    """G(t) = rest + (G - rest) exp(-t / tau), tau = tau_300 exp(E / k (1 / T - 1 / 300 K))."""

    seconds: Estimate
    """At 300 K; without temperatures at that of the measurement."""
    activation_eV: Estimate | None
    """None where all records are of one temperature, or none is given."""
    rest_uS: Estimate | None
    """None where it was given."""
    better_by: float
    """Schwarz's criterion of a power of time less that of this."""


@dataclass(frozen=True)
class RelaxationFit:
    """G(t) = G + (m + d xi) ln(t / t0), one xi a record."""

    mean_uS: Estimate
    spread_uS: Estimate | None
    start_s: float
    better_by: float


def levels_K(data: Drift) -> tuple[float, ...]:
    """Return the different temperatures of the records, growing; empty where none are told."""
    found: list[float] = []
    for value in sorted(data.temperature_K):
        if not found or value > found[-1] + STEADY_K:
            found.append(value)
    return tuple(found)


def fit_retention(data: Drift, rest_uS: float | None = None) -> RetentionFit | None:
    """Fit exponential loss with one time constant, or one activation energy; None where it does not settle.

    Parameters
    ----------
    data : Drift
    rest_uS : float, optional
        Conductance that it leads to; None fits it.
    """
    hot = levels_K(data)
    inverse = np.array([1 / t - 1 / REFERENCE_K for t in data.temperature_K]) / BOLTZMANN_EV_PER_K
    if len(hot) < 2:
        inverse = np.zeros(len(data.devices))
    sizes = [t.size for _, t, _ in data.devices]
    records = np.repeat(np.arange(len(sizes)), sizes)
    times, g = (np.concatenate([one[k] for one in data.devices]) for k in (1, 2))

    def errors(numbers: Values) -> Values:
        tau = np.exp(
            np.clip(numbers[0] + (numbers[1] * inverse[records] if len(hot) > 1 else 0.0), -200, 200)
        )
        rest = float(rest_uS) if rest_uS is not None else float(np.exp(numbers[-1]))
        shape, aim = np.exp(-times / tau) / g, 1 - rest / g
        top, bottom = (np.bincount(records, weights=w) for w in (shape * aim, shape**2))
        found: Values = aim - (top / np.maximum(bottom, 1e-300))[records] * shape
        return found

    tried = []
    for share in _TIMES:
        start = [np.log(share * times.max())]
        if len(hot) > 1:
            start = [np.log(share * times.max()) - np.median(inverse), 1.0]
        if rest_uS is None:
            start.append(np.log(0.5 * g.min()))
        try:
            tried.append(least_squares(errors, np.array(start), x_scale="jac", max_nfev=300))
        except ValueError:
            continue
    if not tried:
        return None
    best = min(tried, key=lambda one: one.cost)
    n, count, size = g.size, len(sizes), best.x.size
    freedom = n - count - size
    if freedom < 1 or np.linalg.matrix_rank(best.jac) < size:
        return None
    inner = np.linalg.pinv(best.jac.T @ best.jac)
    variance = np.diag(inner) * 2 * best.cost / freedom
    if count >= _MANY:
        scores = np.zeros((count, size))
        np.add.at(scores, records, best.jac * best.fun[:, None])
        variance = np.maximum(variance, np.diag(inner @ scores.T @ scores @ inner) * count / (count - 1))
    half = stats.t.ppf((1 + COVERAGE) / 2, min(freedom, count - 1) if count >= _MANY else freedom) * np.sqrt(
        variance
    )
    ends = [np.clip(best.x + sign * half, -_WIDEST, _WIDEST) for sign in (0, -1, 1)]
    own = n * np.log(max(2 * best.cost / n, 1e-300)) + (count + size) * np.log(n)
    return RetentionFit(
        Estimate(*(float(np.exp(end[0])) for end in ends)),
        Estimate(*(float(end[1]) for end in ends)) if len(hot) > 1 else None,
        Estimate(*(float(np.exp(end[-1])) for end in ends)) if rest_uS is None else None,
        _power_criterion(data) - own,
    )  # fmt: skip


def _power_criterion(data: Drift) -> float:
    """Schwarz's criterion of a power of time for each record, but for what all criteria have in common."""
    squares = sum(float(np.sum(_off(np.log(t), np.log(g)) ** 2)) for _, t, g in data.devices)
    n = sum(t.size for _, t, _ in data.devices)
    return float(n * np.log(max(squares / n, 1e-300)) + 2 * len(data.devices) * np.log(n))


def _off(x: Values, y: Values) -> Values:
    """What a line leaves of y."""
    found: Values = y - np.polyval(np.polyfit(x, y, 1), x)
    return found


def fit_relaxation(data: Drift, drift: DriftFit) -> RelaxationFit:
    """Fit a shift along ln t that does not depend on the conductance, and how much likelier it is than `drift`.

    The likelihoods are those of the reads of each record, and of the slopes over records: shares of the conductance by a
    power of time, differences by relaxation.
    """
    start = drift.reference_s
    slopes, errors, squares, n = [], [], 0.0, 0
    for _, t, g in data.devices:
        x = np.stack([np.ones_like(t), np.log(t / start)], axis=1)
        weighted = x / g[:, None]
        inner = np.linalg.inv(weighted.T @ weighted)
        at = inner @ weighted.sum(axis=0)
        squares += float(np.sum((1 - weighted @ at) ** 2))
        slopes.append(float(at[1]))
        errors.append(float(np.sqrt(inner[1, 1])))
        n += t.size
    size = np.sqrt(squares / max(n - 2 * len(slopes), 1))
    b, e = np.array(slopes), size * np.array(errors)
    over = population(b, e)
    conductance = np.array(
        [float(np.exp(np.interp(0.0, np.log(t / start), np.log(g)))) for _, t, g in data.devices]
    )
    own = (
        n * np.log(max(squares / n, 1e-300))
        + 2 * len(b) * np.log(n)
        - 2 * _likely(b, e, over, over.mean.value)
    )
    own -= 2 * float(np.log(conductance).sum())  # exponents are slopes over conductances
    centre: Values | float = drift.exponent.value
    more = 0.0
    if drift.at:
        centre = np.interp(conductance, [g for g, _ in drift.at], [x.value for _, x in drift.at])
        more = (len(drift.at) - 1) * np.log(n)
    power = (
        _power_criterion(data)
        + more
        - 2
        * _likely(
            drift.exponents, drift.errors, Population(drift.exponent, drift.spread, drift.exponents), centre
        )
    )
    return RelaxationFit(over.mean, over.spread, start, float(power - own))


def _likely(values: Values, errors: Values, over: Population, centre: Values | float) -> float:
    spread = 0.0 if over.spread is None else over.spread.value
    return float(stats.norm.logpdf(values, centre, np.sqrt(errors**2 + spread**2) + 1e-300).sum())


def by_temperature(data: Drift) -> tuple[Drift, tuple[tuple[float, Estimate], ...]]:
    """Return the records whose exponents of drift may be pooled, and the exponents where these depend on the temperature.

    Where they do beyond chance, the records are those of the temperature nearest to 300 K. Devices that were measured at
    several temperatures are each held against themselves; others only where there are several at each temperature, whose
    spread says what is chance (`tells_temperatures`).
    """
    hot = levels_K(data)
    if len(hot) < 2:
        return data, ()
    nearest = _nearest(data, hot)
    found = fit_drift(data)
    device = np.unique([name for name, _, _ in data.devices], return_inverse=True)[1]
    several = _at_several(device, nearest)
    if several.any():
        chance = _within(found.exponents[several], found.errors[several], device[several], nearest[several])
    elif tells_temperatures(data):
        groups = [found.exponents[nearest == k] for k in range(len(hot))]
        chance = float(stats.f_oneway(*(one for one in groups if one.size >= _FEWEST)).pvalue)
    else:
        return data, ()
    if not chance < _BY_CHANCE:
        return data, ()
    means = tuple(
        (t, population(found.exponents[nearest == k], found.errors[nearest == k]).mean)
        for k, t in enumerate(hot)
    )
    return _kept(data, nearest == int(np.argmin(np.abs(np.array(hot) - REFERENCE_K)))), means


def tells_temperatures(data: Drift) -> bool:
    """Whether the records tell what the temperature does from what devices differ by."""
    nearest = _nearest(data, levels_K(data))
    device = np.unique([name for name, _, _ in data.devices], return_inverse=True)[1]
    many = np.count_nonzero(np.bincount(nearest) >= _FEWEST)
    return bool(_at_several(device, nearest).any() or many >= 2)


def _nearest(data: Drift, hot: Sequence[float]) -> NDArray[np.intp]:
    """Number of the temperature of each record."""
    return np.array([int(np.argmin(np.abs(np.array(hot) - t))) for t in data.temperature_K])


def _at_several(device: NDArray[np.intp], nearest: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which records are of devices that were measured at several temperatures."""
    met = np.zeros((device.max() + 1, nearest.max() + 1), np.bool_)
    met[device, nearest] = True
    found: NDArray[np.bool_] = (met.sum(axis=1) > 1)[device]
    return found


def _within(values: Values, errors: Values, device: NDArray[np.intp], nearest: NDArray[np.intp]) -> float:
    """Chance that values of devices, each with a mean of its own, differ as much between temperatures which do nothing.

    By what is left beside both; where that is few numbers, by the errors of the values.
    """
    own = np.stack([device == one for one in np.unique(device)], axis=1).astype(np.float64)
    both = np.concatenate(
        [own, np.stack([nearest == k for k in np.unique(nearest)], axis=1).astype(np.float64)], axis=1
    )
    more = int(np.linalg.matrix_rank(both)) - own.shape[1]
    freedom = values.size - own.shape[1] - more
    errors = errors if freedom < _FEWEST else np.ones_like(values)
    squares = []
    for design in (own, both):
        left = values / errors
        left = (
            left - design / errors[:, None] @ np.linalg.lstsq(design / errors[:, None], left, rcond=None)[0]
        )
        squares.append(float(left @ left))
    gained = squares[0] - squares[1]
    if freedom < _FEWEST:
        return float(stats.chi2.sf(gained, more))
    return float(stats.f.sf(gained / more / max(squares[1] / freedom, 1e-300), more, freedom))


def _kept(data: Drift, which: Sequence[bool] | np.ndarray) -> Drift:
    keep = [k for k, flag in enumerate(which) if flag]
    return replace(
        data,
        devices=tuple(data.devices[k] for k in keep),
        temperature_K=tuple(data.temperature_K[k] for k in keep),
    )
