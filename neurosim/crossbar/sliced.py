"""Weights spread over several arrays of few levels each: bit slices, for weights that are programmed, not learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurosim.core.cautions import Once
from neurosim.core.checks import matrix, whole
from neurosim.core.config import WritePath
from neurosim.core.errors import CapabilityError, InputError
from neurosim.core.protocols import Device, Floats
from neurosim.crossbar.array import Crossbar
from neurosim.crossbar.window import Window

_MOST_BITS = 52
"""Of a double, in which weights are rounded to their levels."""


class SlicedCrossbar:
    """Signed weights as digits, ``w = w_max sum_k digit_k 2^(bits (slices - 1 - k)) / (2^(bits slices) - 1)``.

    Each slice is a `Crossbar` of its own whose pairs hold one digit of ``bits`` bits, with the sign of the weight;
    its converted results are shifted and added digitally (as ISAAC does, Shafiee et al., ISCA 2016).

    Parameters
    ----------
    shape : (int, int)
        Word lines and signed columns.
    device : str, path or Device
    bits : int
        Bits of one slice, from 1 up: its pairs stand at 2^(bits + 1) - 1 signed levels.
    slices : int
    seed, write, name, options
        As `Crossbar`; every slice draws its own random numbers.

    Attributes
    ----------
    slices : list of Crossbar
        Most significant first.

    Raises
    ------
    InputError
        If bits or slices is no whole number of at least 1, or a weight has more than 52 bits.
    """

    ideal = False

    def __init__(
        self,
        shape: tuple[int, int],
        device: str | Path | Device,
        *,
        bits: int = 2,
        slices: int = 4,
        seed: int = 0,
        write: WritePath | dict[str, Any] | None = None,
        name: str = "array",
        **options: Any,
    ):
        self.bits, slices = whole("bits", bits, 1), whole("slices", slices, 1)
        self.write = WritePath.of(write, "write") or WritePath()
        if self.bits * slices > _MOST_BITS:
            raise InputError(f"bits x slices = {self.bits * slices}: a weight has at most {_MOST_BITS} bits")
        if self.write.scale_by == "column":
            raise InputError("write.scale_by = 'column': slices share one weight of full scale; use 'array'")
        each = self.write.changed(w_max=1.0, scale="fixed")
        self.slices = [
            Crossbar(shape, device, seed=seed, write=each, name=f"{name}, slice {k}", **options)
            for k in range(slices)
        ]
        self.shape = self.slices[0].shape
        levels = 2 ** (self.bits * slices) - 1
        digit = 2**self.bits - 1
        self.worth = [digit * 2.0 ** (self.bits * (slices - 1 - k)) / levels for k in range(slices)]
        self._levels = levels
        self._w_max = self.write.w_max or 1.0
        self._window = Window(self.write.scale, self.slices[0].ledger, Once())

    def program(self, weights: ArrayLike) -> None:
        """Round weights (rows, cols) to the levels, half to even, clip them to the window, and program every slice."""
        wanted = matrix("weights", weights, *self.shape, "float64")
        if self.write.scale != "fixed" and not (self.write.scale == "auto" and self.write.w_max):
            percentile = self.write.scale_percentile if self.write.scale == "percentile" else 100.0
            self._w_max = float(np.percentile(np.abs(wanted), percentile)) or self._w_max
        self._window.look(np.abs(wanted) / self._w_max, learns=False)
        code = np.rint(np.clip(wanted / self._w_max, -1, 1) * self._levels).astype(np.int64)
        top = 2**self.bits - 1
        for k, part in enumerate(self.slices):
            shift = self.bits * (len(self.slices) - 1 - k)
            part.program(np.sign(code) * ((np.abs(code) >> shift) & top) / top)

    def forward(self, x: ArrayLike) -> Floats:
        """Multiply (batch, rows) by the stored weights: each slice is read and converted, then shifted and added."""
        total: Floats = np.sum(
            [worth * part.forward(x) for worth, part in zip(self.worth, self.slices, strict=True)], axis=0
        )
        return total * np.asarray(self._w_max, total.dtype)

    def calibrate(
        self, x: ArrayLike, percentile: float | None = None, margin: float | None = None
    ) -> list[float]:
        """Set every slice's ADCs by typical inputs (batch, rows)."""
        return [part.calibrate(x, percentile, margin) for part in self.slices]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        for part in self.slices:
            part.advance(seconds)

    def weights(self) -> Floats:
        """Return the stored weights (rows, cols), for inspection and plots only."""
        total: Floats = np.sum(
            [worth * part.weights() for worth, part in zip(self.worth, self.slices, strict=True)], axis=0
        )
        return total * np.asarray(self._w_max, total.dtype)

    def update(self, *_: Any, **__: Any) -> int:
        """Refuse: a small change of a weight would have to carry from slice to slice."""
        raise CapabilityError(
            "bit slices hold digits, which local updates cannot carry: learn on pairs (mapping 'pair')"
        )
