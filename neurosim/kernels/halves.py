"""Rows of numbers in half precision, brought to single precision with some of them left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import jit

_SIGN, _MAGNITUDE = np.uint32(0x8000), np.uint32(0x7FFF)
_REBIASED = np.float32(2.0**112)
"""An exponent of half precision, read as one of single precision, is too small by this factor; subnormals too."""


@jit
def take_rows(
    halves: Any, chosen: Any, drawn: Any, threshold: int, gain: Any, out_bits: Any, out: Any
) -> None:
    """Fill `out` (n, cols) with the rows `chosen` times `gain`, and zero where `drawn` is below `threshold`.

    `halves` (rows, cols) are the bits of finite half-precision numbers, `drawn` (n, cols) random bytes, `out_bits`
    the bits of `out`: one pass over memory instead of a gather, a conversion, a comparison and two products.
    """
    cols = halves.shape[1]
    scale = np.float32(gain) * _REBIASED
    for n in range(chosen.shape[0]):
        row, kept, bits, values = halves[chosen[n]], drawn[n], out_bits[n], out[n]
        for j in range(cols):
            half = np.uint32(row[j])
            single = ((half & _SIGN) << np.uint32(16)) | ((half & _MAGNITUDE) << np.uint32(13))
            bits[j] = single if kept[j] >= threshold else np.uint32(0)
        for j in range(cols):
            values[j] *= scale
