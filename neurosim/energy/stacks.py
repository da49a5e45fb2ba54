"""What components of published chips come to, beside the joules that were measured; the rest is called unexplained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from neurosim.core.errors import UnknownNameError
from neurosim.energy.marks import Mark
from neurosim.energy.price_list import Unit, price_list

SIDE = 256
"""Rows and columns of both chips' arrays."""


class Part(NamedTuple):
    """One component, in joules of one multiply-accumulate."""

    what: str
    joules: float
    low: float
    high: float
    mark: Mark
    source: str


@dataclass(frozen=True)
class Stack:
    """A chip's components and its measured energy."""

    chip: str
    parts: tuple[Part, ...]
    measured_J: float
    """Of one multiply-accumulate."""
    source: str
    note: str = ""

    @property
    def total(self) -> tuple[float, float, float]:
        """Joules of all components together, with their lows and highs."""
        value, low, high = (
            sum(getattr(part, end) for part in self.parts) for end in ("joules", "low", "high")
        )
        return value, low, high

    @property
    def ratio(self) -> float:
        """What the components come to, as a share of what was measured."""
        return self.total[0] / self.measured_J

    @property
    def unexplained_J(self) -> float:
        """Measured and found in no component; negative where components come to more."""
        return self.measured_J - self.total[0]


HERMES = {1: (0.205e-12, "9.76 TOPS/W"), 4: (0.806e-12, "2.48 TOPS/W")}
"""Measured joules of a multiply-accumulate by phases of a read."""
NEURRAM = {1: 0.046e-12, 5: 0.18e-12, 6: 0.24e-12, 7: 0.26e-12, 8: 0.31e-12}
"""Measured joules of a multiply-accumulate by bits of the input; outputs have two more."""


def stack(chip: str, bits: int = 8, phases: int = 1) -> Stack:
    """Return the component stack of a chip.

    Parameters
    ----------
    chip : str
        "hermes" (Le Gallo et al. 2023; 8 bits, 1 or 4 phases) or "neurram" (Wan et al. 2022; 1, 5, 6, 7 or 8 bits).
    bits : int
        Of inputs, NeuRRAM only.
    phases : int
        Of a read, HERMES only.

    Raises
    ------
    UnknownNameError
        If there is no such chip, or nothing was measured at these bits or phases.
    """
    if chip == "hermes":
        if phases not in HERMES:
            raise UnknownNameError("number of phases", str(phases), map(str, HERMES))
        return _hermes(phases)
    if chip == "neurram":
        if bits not in NEURRAM:
            raise UnknownNameError("number of bits", str(bits), map(str, NEURRAM))
        return _neurram(bits)
    raise UnknownNameError("chip", chip, ("hermes", "neurram"))


def _part(what: str, unit: Unit | None, each: float) -> Part:
    assert unit is not None
    return Part(what, unit.value * each, unit.low * each, unit.high * each, unit.mark, unit.source)


def _hermes(phases: int) -> Stack:
    """Each phase integrates and converts every column once; a weight is a pair of conductances."""
    prices = price_list("hermes-14nm")
    a_column, a_row = phases / SIDE, phases / SIDE
    cells = Part(
        "cells", 2 * 0.04 * 5e-6 * 133e-9 / 3 * phases, 2 * 0.04 * 1e-6 * 133e-9 / 3 * phases,
        2 * 0.04 * 20.7e-6 * 133e-9 * phases, "assumed",
        "V^2 G t of a pair: 0.2 V, 133 ns, 5 uS a side and inputs spread evenly are engineering assumptions; high all "
        "at the 20.7 uS of two devices (card pcm-hermes-2023-2-devices), full on",
    )  # fmt: skip
    line = prices.cost_of("line")
    assert line is not None
    lines = line._replace(value=line.value * 0.04, low=line.low * 0.04, high=line.high * 0.04)
    measured, words = HERMES[phases]
    return Stack(
        f"HERMES, 14 nm PCM, 8 bits, {phases} phase{'s' if phases > 1 else ''}",
        (
            cells,
            _part("ADC", prices.cost_of("adc", 8), a_column),
            _part("DAC", prices.cost_of("dac", 8), a_row),
            _part("word lines, 0.2 V", lines, 2 * phases),
        ),
        measured,
        f"{words} (Le Gallo et al., Nat. Electron. 2023), two operations a multiply-accumulate",
        "digital unit, clock, control and communication are in no public breakdown, so they are in no component",
    )


def _neurram(bits: int) -> Stack:
    """A phase a bit of magnitude; a weight is two cells on neighbouring rows, so a column of 256 has 128."""
    prices = price_list("neurram-130nm")
    phases, weights = max(1, bits - 1), SIDE / 2
    converter = prices.prices["adc"]
    steps, sampling = (
        Unit(term.value, term.low, term.high, term.unit, term.mark, term.source) for term in converter
    )
    return Stack(
        f"NeuRRAM, 130 nm RRAM, {bits}-bit inputs, {bits + 2}-bit outputs",
        (
            _part("word lines, 1.8 V", prices.cost_of("line"), 2.0 * phases),
            _part("sampling and integration", sampling, phases / weights),
            _part("conversion", steps, (bits + 2) / weights),
            _part("shift and add", prices.cost_of("add"), phases / weights),
        ),
        NEURRAM[bits],
        "Wan et al., Nature 2022, Ext. Data Fig. 12, as digitised in CiMLoop, two operations a multiply-accumulate",
        "if a multiply-accumulate is a cell and not a pair of cells, the components come to half; cells are not in it",
    )
