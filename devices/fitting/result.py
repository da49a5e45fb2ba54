"""What a fitter returns: card parameters with intervals, and how well the law describes the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from neurosim.devices.fitting.population import Estimate, Values


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
    residuals: Values
    """Standardised errors of predicting each read from those before it."""
    step: Callable[[Values, int], tuple[Values, Values]]
    """From conductances in uS and a polarity to the mean step of a typical device and its cycle-to-cycle spread."""
    devices: dict[str, tuple[Values, Values]] = field(default_factory=dict)
    """Values and standard errors of the single devices, by name of the quantity."""
    notes: tuple[str, ...] = ()

    @property
    def bic(self) -> float:
        """Schwarz's criterion: smaller is better."""
        return float(self.parameters * np.log(self.observations) - 2 * self.log_likelihood)

    def goodness(self) -> dict[str, float]:
        """Return what the one-step errors should be: spread 1, no correlation, normal (a p-value)."""
        z = self.residuals
        return {
            "residual_spread": float(np.sqrt(np.mean(z**2))),
            "residual_correlation": float(np.mean(z[1:] * z[:-1]) / np.mean(z**2)),
            "normality_p": float(stats.kstest(z, "norm").pvalue),
        }
