"""Lifetime: pulses a device against its endurance, as a mean, and what refresh costs in a year."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neurosim.energy.pricing import Events, checked

YEAR_S = 365.25 * 86400
DEVICES = 2
"""Learning devices a synapse, as a pair has them; a mapping on one device and a reference wears it twice as fast."""


@dataclass(frozen=True)
class Wear:
    """Wear of one layer's devices."""

    layer: int
    pulses_per_device: float
    """Mean; how pulses are spread over devices is not counted, and the busiest wear out first."""
    endurance: float | None
    """Pulses that a device stands; None where neither card nor caller says."""
    epochs: float | None
    """Until the mean device has had so many; None without endurance, or without pulses."""


def lifetime(
    events: Iterable[Events],
    epochs: float,
    endurance: float | None = None,
    numbers: Mapping[str, Any] | None = None,
) -> list[Wear]:
    """Return the wear of each layer.

    Parameters
    ----------
    events : iterable of dict
        Of each layer, of a training.
    epochs : float
        That the training took.
    endurance : float, optional
        Pulses that a device stands; default `endurance_pulses` of `numbers`.
    numbers : mapping, optional
        The ``numbers`` of the results' ``devices``.
    """
    if endurance is None and numbers and (found := numbers.get("endurance_pulses")):
        endurance = found["value"] if isinstance(found, Mapping) else found
    worn = []
    for layer in checked(events):
        counts = layer["counts"]
        given = counts["pulses"] + counts["refresh_pulses"] + counts["refresh_resets"]
        each = given / (DEVICES * layer["arrays"] * layer["rows"] * layer["cols"])
        last = endurance * epochs / each if endurance and each else None
        worn.append(Wear(layer["layer"], each, endurance, last))
    return worn


def refresh_J_per_year(events: Iterable[Events], seconds: float) -> float:
    """Return device joules of refresh in a year that goes on as these `seconds` did."""
    return float(sum(layer["counts"]["refresh_J"] for layer in checked(events)) * YEAR_S / seconds)
