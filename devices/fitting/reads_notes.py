"""What repeated reads say beyond the numbers of the card, in words for it."""

from __future__ import annotations

from collections.abc import Iterator

from neurosim.devices.fitting.reads import ReadsFit

_ALIKE = 1.5
"""Conductances whose largest over smallest is below this do not tell a share from a floor."""


def reading(found: ReadsFit, source: str) -> Iterator[str]:
    """Say how noise depends on the conductance, where 1/f noise takes over, and whether its exponent is that of the law."""
    low, high = found.conductances_uS
    if high < _ALIKE * low:
        yield (
            f"{source}: all states lie between {low:.3g} and {high:.3g} uS, so that the part of read noise that does not "
            "depend on the conductance is not told; it is a share on the card."
        )
    if found.flicker is None:
        yield f"{source}: no 1/f noise beyond chance at {found.interval_s:.3g} s a read."
        return
    corner = "" if found.corner_Hz is None else f"; as strong as white noise at {found.corner_Hz:.3g} Hz"
    yield (
        f"{source}: 1/f noise of spectrum Q^2 / f, Q = {found.flicker.value:.3g} at g_max{corner}. On the card it grows with "
        f"the time since a write, as sqrt(ln), from {found.interval_s:.3g} s on; what is faster is in read noise."
    )
    if found.relative is None and found.floor_uS is None:
        yield f"{source}: no white noise beyond chance."
    if found.exponent is not None and not found.exponent.low <= 1 <= found.exponent.high:
        e = found.exponent
        yield (
            f"{source}: the spectrum falls as f to the power -{e.value:.2f} (95 % interval {e.low:.2f} to {e.high:.2f}); "
            "the law has 1, so what it adds over times much longer than measured is off."
        )
