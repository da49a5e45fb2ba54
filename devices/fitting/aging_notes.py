"""What programming errors and drift have beyond one spread and one exponent, in words for the card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neurosim.devices.fitting.aging import DriftFit, ProgrammingFit
from neurosim.devices.fitting.population import Estimate
from neurosim.devices.fitting.retention import (
    REFERENCE_K,
    RelaxationFit,
    RetentionFit,
    levels_K,
    tells_temperatures,
)
from neurosim.devices.fitting.tables import STEADY_K, Drift

_FOLDED = 2.0
"""Spreads: exponents whose mean is nearer to zero than this would change sign."""


def systematic(found: ProgrammingFit, source: str, law: str, carried: bool) -> Iterator[str]:
    """Say by how much written states miss their targets in the mean, and whether the card has it."""
    if not found.bias:
        return
    (low, first), (high, last) = found.bias_at
    size = f"{_signed(first, 'uS')} in the mean"
    if len(found.bias) > 1:
        size = f"{_signed(first, 'uS')} in the mean at a target of {low:g} uS and {_signed(last, 'uS')} at {high:g} uS"
    apart = "The spread on the card is that about this mean"
    if carried:
        yield f"{source}: written states are off by {size}. {apart}, and the mean is on it too (bias_uS)."
    else:
        yield (
            f"{source}: written states are off by {size}. {apart}; the mean is not on it, because {law} has no "
            "systematic error: shift the targets of the writer by it, and measure again."
        )


def ageing(found: DriftFit, source: str) -> Iterator[str]:
    """Say where conductances grow with time, and whether exponents depend on the conductance."""
    nodes = found.at or ((0.0, found.exponent),)
    growing = [(g, exponent) for g, exponent in nodes if exponent.high < 0]
    if growing:
        where = f" where they are near {', '.join(f'{g:.3g}' for g, _ in growing)} uS" if found.at else ""
        exponents = ", ".join(_signed(Estimate(-e.value, -e.high, -e.low)) for _, e in growing)
        yield (
            f"{source}: conductances grow with time{where}, as t to the power {exponents}. The card has it as a negative "
            "exponent of drift, without end; check that reads do not write, and that times count from the write."
        )
    elif not found.at and found.exponent.value < 0:
        yield f"{source}: no drift beyond chance: exponent {_signed(found.exponent)}."
    if found.at:
        listed = ", ".join(f"{_signed(exponent)} at {g:.3g} uS" for g, exponent in found.at)
        yield (
            f"{source}: the exponent of drift depends on the conductance: {listed}; in between linear, beyond constant."
        )
    sigma = 0.0 if found.spread is None else found.spread.value
    smallest = min(exponent.value for _, exponent in nodes)
    if 0 <= smallest < _FOLDED * sigma:
        yield (
            f"{source}: the exponent of some devices is below zero (mean {smallest:.3g}, spread {sigma:.3g}), which the "
            "law turns: its devices drift more in the mean than those measured."
        )


def heated(
    data: Drift, found: RetentionFit | RelaxationFit | None, by_K: Sequence[tuple[float, Estimate]]
) -> Iterator[str]:
    """Say what states age by where that is no power of time, and what of the temperature is on the card."""
    source, hot = data.source, levels_K(data)
    listed = ", ".join(f"{t:.0f}" for t in hot)
    if isinstance(found, RetentionFit):
        yield (
            f"{source}: states fall back exponentially, not as a power of time (BIC {found.better_by:.0f} above): retention "
            "on the card, the same for all devices."
        )
        if found.activation_eV is not None:
            yield (
                f"{source}: an activation energy of {_signed(found.activation_eV, 'eV')}, from {listed} K; the time constant "
                f"at {REFERENCE_K:g} K is {'extrapolated' if min(hot) > REFERENCE_K + STEADY_K else 'within what was measured'}."
                " An array is hot where its device has temperature_K."
            )
        elif hot:
            yield f"{source}: measured at {listed} K alone: retention_s holds there, and tells nothing of other temperatures."
        return
    what = "relaxation" if isinstance(found, RelaxationFit) else "drift"
    if isinstance(found, RelaxationFit):
        yield (
            f"{source}: states move along the logarithm of time by as much at every conductance, not in proportion to it "
            f"(BIC {found.better_by:.0f} above): relaxation on the card, not drift."
        )
    if by_K:
        means = ", ".join(f"{_signed(exponent)} at {t:.0f} K" for t, exponent in by_K)
        nearest = min(hot, key=lambda t: abs(t - REFERENCE_K))
        yield (
            f"{source}: the exponent of drift depends on the temperature: {means}. No law here has that; the card has {what} "
            f"at {nearest:.0f} K alone."
        )
    elif len(hot) > 1 and not tells_temperatures(data):
        yield (
            f"{source}: {what} was measured at {listed} K, each device at one temperature and few at each: what the temperature "
            "does and what devices differ by cannot be told apart; the card has them all as one. Measure devices at several "
            "temperatures each."
        )
    elif len(hot) > 1:
        yield f"{source}: {what} does not depend on the temperature ({listed} K) beyond chance; the card has it at all."
    elif hot:
        yield f"{source}: {what} was measured at {listed} K; no law here has it depend on the temperature."


def _signed(found: Estimate, unit: str = "") -> str:
    """A number with its sign and its interval."""
    ends = f"95 % interval {found.low:+.3g} to {found.high:+.3g}"
    return f"{found.value:+.3g}{' ' if unit else ''}{unit} ({ends})"
