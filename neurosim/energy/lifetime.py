"""Lifetime: how pulses are spread over the devices, against what these endure, and what refresh costs in a year."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from neurosim.core.errors import InputError
from neurosim.energy.pricing import Events, checked

YEAR_S = 365.25 * 86400
WORN = (0.01, 0.1, 0.5)
"""Shares of the devices for which a table says when they are worn."""
SAMPLES = 2000
"""Devices by which a distribution that is known by its quantiles is averaged."""


@dataclass(frozen=True)
class Wear:
    """How pulses of one layer's training are spread over the devices that learn; refreshes included."""

    layer: int
    devices: int
    shares: tuple[float, ...]
    """Of the devices, the least pulsed first,"""
    pulses: tuple[float, ...]
    """and the pulses that such a share of them had at most."""
    epochs: float
    """Of the training."""
    endurance: float | None
    """Median of the pulses that a device stands; None where neither card nor caller says."""
    spread: float = 0.0
    """Standard deviation of its natural logarithm between devices."""

    def device_pulses(self) -> NDArray[np.float64]:
        """Return the pulses of `SAMPLES` devices that stand for all, ascending."""
        places = (np.arange(SAMPLES) + 0.5) / SAMPLES
        return np.interp(places, self.shares, self.pulses)

    @property
    def mean(self) -> float:
        """Pulses of the mean device."""
        return float(self.device_pulses().mean())

    @property
    def most(self) -> float:
        """Pulses of the busiest device."""
        return self.pulses[-1]

    def worn_after(self, epochs: float) -> float | None:
        """Return the share of devices that are worn after so many epochs like those of the training; None: endurance unknown."""
        if self.endurance is None:
            return None
        given = self.device_pulses() * (epochs / self.epochs)
        if not self.spread:
            return float((given >= self.endurance).mean())
        with np.errstate(divide="ignore"):
            return float(ndtr(np.log(given / self.endurance) / self.spread).mean())

    def epochs_until(self, share: float) -> float | None:
        """Return the epochs until such a share of the devices is worn.

        None where nobody states an endurance, or so many devices get no pulses at all.
        """
        if not 0 < share < 1:
            raise InputError(f"share = {share}: must lie between 0 and 1")
        given = self.device_pulses()
        if self.endurance is None or (given > 0).mean() <= share:
            return None
        if not self.spread:
            busy = float(np.quantile(given, 1 - share, method="inverted_cdf"))
            return self.endurance * self.epochs / busy if busy else None
        low, high = np.log(self.endurance / given[given > 0][[-1, 0]]) + np.array([-40, 40]) * self.spread

        def beyond(log_scale: float) -> float:
            return float(self.worn_after(self.epochs * np.exp(log_scale)) or 0.0) - share

        return float(self.epochs * np.exp(brentq(beyond, low, high)))

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "layer": self.layer,
            "devices": self.devices,
            "pulses_per_device": self.mean,
            "pulses_of_the_busiest": self.most,
            "wear": [list(pair) for pair in zip(self.shares, self.pulses, strict=True)],
            "endurance": self.endurance,
            "endurance_spread": self.spread,
            "epochs_until_worn": {f"{100 * share:g} %": self.epochs_until(share) for share in WORN},
        }


def lifetime(
    events: Iterable[Events],
    epochs: float,
    endurance: float | None = None,
    numbers: Mapping[str, Any] | None = None,
) -> list[Wear]:
    """Return how the pulses of each layer are spread over its devices.

    Parameters
    ----------
    events : iterable of dict
        Of each layer, of a training.
    epochs : float
        That the training took.
    endurance : float, optional
        Pulses that a device stands; default `endurance_pulses` of `numbers`, with its spread.
    numbers : mapping, optional
        The ``numbers`` of the results' ``devices``.

    Raises
    ------
    InputError
        If events do not say how pulses are spread.
    """
    spread = 0.0
    if endurance is None:
        endurance, spread = _number(numbers, "endurance_pulses"), _number(numbers, "endurance_spread") or 0.0
    worn = []
    for layer in checked(events):
        if "wear" not in layer or "devices" not in layer:
            raise InputError(
                f"events of layer {layer.get('layer')} do not say how pulses are spread: run it again"
            )
        shares, pulses = zip(*layer["wear"], strict=True)
        worn.append(Wear(layer["layer"], layer["devices"], shares, pulses, epochs, endurance, spread))
    return worn


def _number(numbers: Mapping[str, Any] | None, name: str) -> float | None:
    found = (numbers or {}).get(name)
    value = found["value"] if isinstance(found, Mapping) else found
    return float(value) if value else None


def refresh_J_per_year(events: Iterable[Events], seconds: float) -> float | None:
    """Return device joules of refresh in a year that goes on as these `seconds` of learning did; None: nobody knows."""
    layers = list(checked(events))
    if any(layer.get("pulse_unknown") and layer["counts"]["refreshed_pairs"] for layer in layers):
        return None
    return float(sum(layer["counts"]["refresh_J"] for layer in layers) * YEAR_S / seconds)
