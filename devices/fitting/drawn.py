"""Cards drawn from what a fit leaves open, so that a study can say how much of its answer is the fit's uncertainty."""

from __future__ import annotations

import warnings
from contextlib import suppress

import numpy as np

from neurosim.core.cautions import ImplausibleWarning
from neurosim.core.errors import CapabilityError, NeurosimError
from neurosim.core.seeds import generator
from neurosim.devices.card import Card, Quantity
from neurosim.devices.fitting.card_maker import rounded
from neurosim.devices.fitting.fit import Fit

_TOGETHER = ("vteam",)
"""Laws whose numbers the data tell together alone: threshold, exponent and switching time."""
_TRIES = 100
"""Draws for each card that makes a device."""


def drawn_cards(fit: Fit, count: int, seed: int = 0) -> list[Card]:
    """Return cards whose fitted numbers are drawn from their 95 % intervals.

    Parameters
    ----------
    fit : Fit
    count : int
        Cards, named after the card of the fit: ``wafer7-draw-1`` and so on.
    seed : int
        Same seed, same cards.

    Notes
    -----
    Each number is drawn from the normal of its interval, or the lognormal where the interval is above zero, apart from
    the others: what the data say of two numbers together is lost, so cards differ more than they would have to.

    Raises
    ------
    CapabilityError
        If the numbers of the law hang together, so that drawn apart they make devices that nobody measured.
    """
    if fit.card.law in _TOGETHER:
        raise CapabilityError(
            f"draws: threshold, exponent and switching time of {fit.card.law} hang together and cannot be drawn apart; fit "
            "parts of the data instead, device by device"
        )
    draws = generator(seed, f"draws of {fit.card.name}")
    found: list[Card] = []
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        with suppress(NeurosimError):  # bounds that change places, say
            card = _drawn(fit, f"{fit.card.name}-draw-{len(found) + 1}", draws)
            card.device()
            found.append(card)
    if len(found) < count:
        warnings.warn(
            ImplausibleWarning(
                f"{len(found)} of {count} cards were drawn: most numbers from the intervals of {fit.card.name} make no device",
                "measure more devices, so that the intervals are narrower, or go on with so many",
            ),
            stacklevel=2,
        )
    return found


def _drawn(fit: Fit, name: str, draws: np.random.Generator) -> Card:
    card, numbers = fit.card, dict(fit.card.parameters)
    for which, estimate in fit.intervals.items():
        if which not in numbers:
            continue  # places of tables
        kept, value = numbers[which], rounded(estimate.drawn(float(draws.standard_normal())))
        numbers[which] = Quantity(
            value=(value,) * len(kept.value) if isinstance(kept.value, tuple) else value,
            unit=kept.unit,
            source=f"drawn from the 95 % interval {estimate.low:.4g} to {estimate.high:.4g} of {card.name}",
        )
    if "state_max" in fit.intervals:
        top = numbers["state_max"].value
        assert isinstance(top, float)
        low = numbers["state_min"]
        numbers["state_min"] = Quantity(value=rounded(top - 2), unit=low.unit, source=low.source)
    return card.changed(
        name=name, summary=f"A draw of what the fit of {card.name} leaves open", parameters=numbers
    )
