"""What a fitter returns: card parameters with intervals, and how well the law describes the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neurosim.devices.fitting.population import Estimate, Values

_OUTLIER = 6.0
"""Errors of prediction beyond so many expected standard deviations are named."""
_NOISELESS = 0.5


@dataclass(frozen=True)
class Steps:
    """What each pulse did, and what the law expected of it, given the reads before: arrays of one length."""

    device: NDArray[np.str_]
    row: NDArray[np.intp]
    """Place of the read after the pulse in the device's trace."""
    sign: NDArray[np.int8]
    before_uS: Values
    change_uS: Values
    expected_uS: Values
    """Expected change of what is read."""
    sigma_uS: Values
    """Expected standard deviation of that change."""

    @property
    def errors(self) -> Values:
        """Standardised errors of prediction."""
        found: Values = (self.change_uS - self.expected_uS) / self.sigma_uS
        return found

    @classmethod
    def joined(cls, parts: Sequence[Steps]) -> Steps:
        """Put the steps of several devices one after another."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


class Largest(NamedTuple):
    """The largest likelihood of a law."""

    value: float
    """Its logarithm, over all numbers."""
    plain: float
    """The same without those bounds of single devices that gain less than Schwarz's criterion asks of a number."""
    told: int
    """How many numbers are then left."""


@dataclass(frozen=True)
class LawFit:
    """A law fitted to pulse traces."""

    law: str
    numbers: dict[str, Estimate]
    """Parameters of the card that the data determine."""
    conventions: dict[str, tuple[float, str]]
    """Parameters that hold by definition or cannot be told from pulses: value and why."""
    log_likelihood: float
    parameters: int
    observations: int
    steps: Steps
    devices: dict[str, tuple[Values, Values]] = field(default_factory=dict)
    """Values and standard errors of the single devices, by name of the quantity."""
    notes: tuple[str, ...] = ()
    climb: Callable[[], Largest] | None = None
    """Looks for the largest likelihood of the law, where its numbers are not at it."""

    @property
    def largest(self) -> Largest:
        """The largest likelihood of the law, by which it is ranked."""
        of_all = Largest(self.log_likelihood, self.log_likelihood, self.parameters)
        return of_all if self.climb is None else self.climb()

    @property
    def bic(self) -> float:
        """Schwarz's criterion: smaller is better."""
        return float(self.parameters * np.log(self.observations) - 2 * self.largest.value)

    @property
    def bic_of_told(self) -> float:
        """The same with no more numbers than the data tell: a bound that a device does not show is none."""
        return float(self.largest.told * np.log(self.observations) - 2 * self.largest.plain)

    def goodness(self) -> dict[str, float]:
        """Return what the one-step errors should be: spread 1, no correlation, normal (a p-value)."""
        z = self.steps.errors
        return {
            "residual_spread": float(np.sqrt(np.mean(z**2))),
            "residual_correlation": float(np.mean(z[1:] * z[:-1]) / np.mean(z**2)),
            "normality_p": float(stats.kstest(z, "norm").pvalue),
        }

    def doubts(self) -> tuple[str, ...]:
        """Say where the data contradict the law: correlated errors, wrong spread, outliers."""
        z, good, found = self.steps.errors, self.goodness(), []
        chance = 5 / np.sqrt(z.size)
        if good["residual_spread"] < _NOISELESS:
            return ("Hardly any noise in the data: what the card says of it is no measurement.",)
        if abs(good["residual_correlation"]) > max(chance, 0.05):
            why = "read noise is taken for steps"
            if good["residual_correlation"] > 0:
                why = f"the devices do something that {self.law} does not"
            found.append(
                f"Errors of prediction are correlated from pulse to pulse ({good['residual_correlation']:.2f}): {why}."
            )
        if abs(good["residual_spread"] - 1) > max(chance, 0.05):
            found.append(
                f"Errors of prediction are {good['residual_spread']:.2f} times as large as {self.law} expects."
            )
        far = np.flatnonzero(np.abs(z) > _OUTLIER)
        if far.size:
            worst = far[np.argmax(np.abs(z[far]))]
            found.append(
                f"{far.size} read(s) further than {_OUTLIER:g} expected standard deviations off, the worst on device "
                f"{self.steps.device[worst]}, pulse {self.steps.row[worst]}: check for outliers."
            )
        return tuple(found)
