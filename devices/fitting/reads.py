"""Noise of repeated reads of a state: its white part, and the part whose spectrum falls as 1/f.

Reads differ from a trend of their device. On relative deviations, 1/f noise of spectrum Q^2 / f up to half the rate of
reads has the covariance -Q^2 Cin(pi lag / interval) but for a constant, white noise that of single reads. Deviations are
turned to where both are independent, so that their likelihood is a sum over numbers, restricted to what the trend
leaves over (D. A. Harville, J. Am. Stat. Assoc. 72 (1977) 320). What 1/f noise there is above half the rate of reads
is white for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neurosim.core.errors import CapabilityError
from neurosim.devices.fitting.maximum import Maximum, maximise
from neurosim.devices.fitting.population import Estimate, Values
from neurosim.devices.fitting.tables import Reads

_LONGEST = 512
"""Reads of a piece; a longer record is cut into pieces with a trend each."""
_BY_CHANCE = 1e-3
"""1/f noise, its dependence on the conductance, and a second part of white noise are taken for real where chance makes them
in so few data sets."""
_APART = 1.5
"""Largest over smallest conductance from which on a dependence on it is looked for, of three devices or more."""
_FEWEST_STATES = 3
_EXPONENTS = np.linspace(0.6, 1.6, 6)
_LEAST_START = 0.1
"""White noise from which a search starts, in those of 1/f noise."""
_FINE, _LONG = 0.05, 2000.0
_LEAST, _NONE = 1e-9, 1e-20
Covariance = Callable[[Values], Values]


@dataclass(frozen=True)
class ReadsFit:
    """White noise a + b / G and 1/f noise of spectrum Q^2 / f, relative to the conductance."""

    relative: Estimate | None
    """Standard deviation of a read as a share of the conductance, and ..."""
    floor_uS: Estimate | None
    """... the part that does not depend on it; None where it does not show."""
    flicker: Estimate | None
    """Q at g_max; None where no 1/f noise shows."""
    power: Estimate | None
    """p in Q (G / g_max)^-p; None where it does not show."""
    most: float
    """Largest Q of a state that was read."""
    interval_s: float
    """Between reads, the median."""
    exponent: Estimate | None
    """Of the spectrum where it is left free; the law has 1."""
    corner_Hz: float | None
    """Frequency at which 1/f noise of the median state is as strong as white noise; None beyond half the rate of reads."""
    conductances_uS: tuple[float, float]
    """Smallest and largest that was read."""

    def size(self, conductance_uS: float, g_max_uS: float) -> float:
        """Q of a conductance."""
        if self.flicker is None:
            return 0.0
        power = 0.0 if self.power is None else self.power.value
        return float(self.flicker.value * (conductance_uS / g_max_uS) ** -power)

    def sigma_uS(self, conductance_uS: float) -> float:
        """Standard deviation of a read, 1/f noise apart."""
        parts = (self.relative, conductance_uS), (self.floor_uS, 1.0)
        return sum(part.value * by for part, by in parts if part is not None)


@dataclass(frozen=True)
class _Turned:
    """Deviations of all devices where they are independent."""

    deviation: Values
    slow: Values
    """Variance of each for a Q of one."""
    state: NDArray[np.intp]
    """Device that it belongs to."""
    conductance_uS: Values
    """Of each number's state."""


def fit_reads(data: Reads, g_max_uS: float) -> ReadsFit:
    """Fit read noise and its 1/f part, each with what the data show of its dependence on the conductance.

    Parameters
    ----------
    data : Reads
    g_max_uS : float
        Of the card, to which Q refers.

    Raises
    ------
    CapabilityError
        If reads do not differ.
    """
    interval = float(np.median(np.concatenate([np.diff(times) for _, times, _ in data.states])))
    turned = _turned(data, interval, 1.0)
    if not (turned.deviation**2).sum() > _NONE:
        raise CapabilityError("repeated reads do not differ: there is no noise to fit")
    levels = np.array([g.mean() for _, _, g in data.states])
    varied = levels.size >= _FEWEST_STATES and levels.max() > _APART * levels.min()
    fitted, white, slow = _ladder(turned, g_max_uS, varied)
    number = dict(zip((*white, *slow), range(fitted.numbers.size), strict=True))

    def of(name: str) -> Estimate | None:
        if name not in number:
            return None
        found = fitted.estimate(number[name])
        if name == "flicker":
            return Estimate(*(float(np.exp(end)) for end in (found.value, found.low, found.high)))
        if name in white and found.value < 0:
            found = found.times(-1)
            found = Estimate(found.value, found.high, found.low)
        return found.at_least(0.0) if name in white else found

    flicker, power, relative, floor = (of(name) for name in ("flicker", "power", "relative", "floor"))
    exponent, corner, most = None, None, 0.0
    if flicker is not None:
        sizes = flicker.value * (levels / g_max_uS) ** -(0.0 if power is None else power.value)
        most = float(sizes.max())
        exponent = _exponent(data, interval, fitted, white, slow, g_max_uS)
        middle = float(np.median(levels))
        share = (0.0 if relative is None else relative.value) + (
            0.0 if floor is None else floor.value / middle
        )
        corner = float(np.median(sizes)) ** 2 / (2 * interval * max(share, _LEAST) ** 2)
        corner = corner if corner < 1 / (2 * interval) else None
    return ReadsFit(
        relative, floor, flicker, power, most, interval, exponent, corner,
        (float(levels.min()), float(levels.max())),
    )  # fmt: skip


class _Model(NamedTuple):
    fitted: Maximum
    white: tuple[str, ...]
    slow: tuple[str, ...]


def _ladder(turned: _Turned, g_max_uS: float, varied: bool) -> _Model:
    """Return the simplest model that no further part improves beyond chance."""

    def tried(white: tuple[str, ...], slow: tuple[str, ...]) -> _Model | None:
        size = float(np.sqrt(np.mean(turned.deviation**2)))
        first = {
            "relative": size / 2, "floor": size * float(np.median(turned.conductance_uS)) / 2,
            "flicker": np.log(size / 4), "power": 0.1,
        }  # fmt: skip
        names = (*white, *slow)
        with suppress(CapabilityError):
            found = maximise(
                lambda numbers: _terms(turned, dict(zip(names, numbers, strict=True)), g_max_uS),
                np.array([first[name] for name in names]), turned.state,
            )  # fmt: skip
            return _Model(found, white, slow)
        return None

    def better(best: _Model | None, *more: _Model | None) -> _Model | None:
        there = [one for one in more if one is not None]
        if not there:
            return best
        one = max(there, key=_height)
        if best is None:
            return one
        gain = 2 * (one.fitted.log_likelihood - best.fitted.log_likelihood)
        chance = stats.chi2.sf(gain, one.fitted.numbers.size - best.fitted.numbers.size)
        return one if chance < _BY_CHANCE else best

    kinds: Sequence[tuple[str, ...]] = (("relative",), ("floor",)) if varied else (("relative",),)
    best = better(None, *(tried(white, ()) for white in kinds))
    mixed = [tried(white, ("flicker",)) for white in kinds]
    if any(mixed):
        best = better(best, *mixed)
    else:  # the likelihood has no maximum with white noise above zero
        best = max((one for one in (best, tried((), ("flicker",))) if one), key=_height, default=None)
    if best is None:
        raise CapabilityError("the data do not tell its numbers apart")
    if varied and best.slow:
        best = better(best, tried(best.white, (*best.slow, "power"))) or best
    if varied and best.white:
        best = better(best, tried(("relative", "floor"), best.slow)) or best
    return best


def _height(model: _Model) -> float:
    return model.fitted.log_likelihood


def _terms(turned: _Turned, numbers: dict[str, float], g_max_uS: float) -> Values:
    """Log density of each number."""
    g = turned.conductance_uS
    sigma = abs(numbers.get("relative", 0.0)) + abs(numbers.get("floor", 0.0)) / g + _LEAST
    variance = sigma**2
    if "flicker" in numbers:
        size = np.exp(min(numbers["flicker"], 10.0)) * (g / g_max_uS) ** -numbers.get("power", 0.0)
        variance = variance + size**2 * turned.slow
    found: Values = -0.5 * (turned.deviation**2 / variance + np.log(2 * np.pi * variance))
    return found


def _turned(data: Reads, interval_s: float, exponent: float) -> _Turned:
    covariance, known = _covariance(exponent), {}
    parts = []
    for state, (_, times, conductance) in enumerate(data.states):
        for piece in np.array_split(np.arange(times.size), -(-times.size // _LONGEST)):
            t, g = times[piece] / interval_s, conductance[piece]
            place = np.log(t) if data.aged else t
            trend = np.stack([np.ones_like(t), place - place.mean()], axis=1)
            line = trend @ np.linalg.lstsq(trend, np.log(g) if data.aged else g, rcond=None)[0]
            middle = np.exp(line) if data.aged else line
            key = np.round(np.stack([t - t[0], place - place[0]]), 6).tobytes()
            if key not in known:
                left = np.linalg.qr(trend, mode="complete")[0][:, trend.shape[1] :]
                lag = np.abs(t[:, None] - t[None, :])
                values, vectors = np.linalg.eigh(left.T @ covariance(np.pi * lag) @ left)
                known[key] = np.maximum(values, 0.0), left @ vectors
            slow, turn = known[key]
            parts.append((turn.T @ (g / middle - 1), slow, state, float(g.mean())))
    sizes = [part[0].size for part in parts]
    return _Turned(
        np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]),
        np.repeat([part[2] for part in parts], sizes), np.repeat([part[3] for part in parts], sizes),
    )  # fmt: skip


def _covariance(exponent: float) -> Covariance:
    """Covariance, but for a constant, of noise whose spectrum is f^-exponent up to half the rate of reads.

    From the lag times pi over the interval; scaled so that the spectrum at one cycle in 2 pi intervals is that of 1/f.
    """
    grid = np.arange(_FINE / 2, _LONG, _FINE)
    whole = np.concatenate([[0.0], np.cumsum(grid**-exponent * (1 - np.cos(grid))) * _FINE])
    edges = np.concatenate([[0.0], grid + _FINE / 2])

    def covariance(x: Values) -> Values:
        far = np.maximum(x, edges[-1])
        beyond = (
            np.log(far / edges[-1])
            if exponent == 1
            else (far ** (1 - exponent) - edges[-1] ** (1 - exponent)) / (1 - exponent)
        )
        inner = np.interp(x, edges, whole)
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = np.where(x > 0, x ** (exponent - 1) * (inner + beyond), 0.0)
        found: Values = -scaled
        return found

    return covariance


def _exponent(
    data: Reads,
    interval_s: float,
    fitted: Maximum,
    white: Sequence[str],
    slow: Sequence[str],
    g_max_uS: float,
) -> Estimate | None:
    """Exponent of the spectrum by its likelihood, the other numbers fitted anew at each of a few; None beyond these."""
    names, heights = (*white, *slow), []
    start = fitted.numbers.copy()
    for name, unit in (("relative", 1.0), ("floor", g_max_uS)):
        if (
            name in white
        ):  # what is nothing for one exponent need not be for another, and nothing leads away from zero
            least = _LEAST_START * unit * float(np.exp(start[names.index("flicker")]))
            start[names.index(name)] = max(abs(start[names.index(name)]), least)
    for exponent in _EXPONENTS:
        turned = _turned(data, interval_s, float(exponent))
        try:
            found = maximise(
                lambda numbers, turned=turned: _terms(turned, dict(zip(names, numbers, strict=True)), g_max_uS),  # type: ignore[misc]
                start, turned.state,
            )  # fmt: skip
        except CapabilityError:  # far from the right exponent the other numbers may lead nowhere
            heights.append(-np.inf)
            continue
        heights.append(found.log_likelihood)
    best = int(np.argmax(heights))
    if not np.isfinite(heights[max(best - 1, 0) : best + 2]).all() or best in (0, len(heights) - 1):
        return None
    bent, tilt, _ = np.polyfit(_EXPONENTS[best - 1 : best + 2], heights[best - 1 : best + 2], 2)
    if bent >= 0:
        return None
    value, error = -tilt / (2 * bent), 1 / np.sqrt(-2 * bent)
    return Estimate(float(value), float(value - 1.96 * error), float(value + 1.96 * error))
