"""What the exact ways through an array with wires share: checks, lines followed from their far ends, mirrors."""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurosim.core.checks import matrix
from neurosim.core.errors import InputError
from neurosim.crossbar.lines import MEGOHM, Ends

Doubles = NDArray[np.float64]


class Line(NamedTuple):
    """All word lines, or all bit lines: resistances in megohms; with uS, products are pure numbers and V gives uA."""

    segment: float
    first: float
    """From a terminal to the cell beside it: a segment and the driver or sense input."""
    both: bool
    """Terminals at both ends, not only before node 0."""

    @property
    def far_uS(self) -> float:
        """Conductance from the last node to the terminal behind it; 0 is an open end.

        A perfect line is one node, and needs its terminal only once.
        """
        return 1.0 / self.first if self.both and self.first > 0.0 else 0.0


def checked(
    g_uS: ArrayLike, resistances_ohm: tuple[float, float, float, float], drive: Ends, sense: Ends
) -> tuple[Doubles, Line, Line]:
    """Conductances as float64, word lines and bit lines, or `InputError`."""
    g = np.asarray(matrix("g_uS", g_uS, precision="float64"), np.float64)
    if g.size == 0:
        raise InputError(f"g_uS: expected at least one row and one column, got {g.shape}")
    if g.min() < 0:
        raise InputError(
            f"g_uS: {int((g < 0).sum())} of {g.size} conductances are negative; give each device its own"
        )
    names = ("r_word_ohm", "r_bit_ohm", "r_driver_ohm", "r_sense_ohm")
    for name, value in zip(names, resistances_ohm, strict=True):
        if not (isinstance(value, Real) and np.isfinite(float(value)) and value >= 0):
            raise InputError(
                f"{name}: expected a finite number >= 0 in ohms, got {value!r}; 0 is a perfect line"
            )
    for name, ends in (("drive", drive), ("sense", sense)):
        if ends not in ("single", "double"):
            raise InputError(f"{name}: expected 'single' or 'double', got {ends!r}")
    r_word, r_bit, r_driver, r_sense = (MEGOHM * float(value) for value in resistances_ohm)
    word = Line(r_word, r_word + r_driver, drive == "double")
    return g, word, Line(r_bit, r_bit + r_sense, sense == "double")


def ladder(g: Doubles, line: Line) -> tuple[Doubles, Doubles]:
    """Follow lines, (lines, nodes), from their far ends to the terminal before node 0.

    Returns the share of a voltage (or current) that passes the resistance before each node, and the conductance
    of the node with all beyond it; a terminal behind the last node is at 0 V.
    """
    share, total = np.empty_like(g), np.empty_like(g)
    beyond = np.full(len(g), line.far_uS)
    for j in reversed(range(g.shape[1])):
        total[:, j] = g[:, j] + beyond
        share[:, j] = 1.0 / (1.0 + (line.segment if j else line.first) * total[:, j])
        beyond = total[:, j] * share[:, j]
    return share, total


def mirrored(array: Doubles) -> Doubles:
    """Word lines for bit lines, and back: node 0 of each line is again the one beside its terminal."""
    return array[::-1, ::-1].T
