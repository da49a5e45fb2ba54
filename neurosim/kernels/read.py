"""The converters and the noise of a read."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import Scalar, jit
from neurosim.kernels.random import fill_words, normal

_ZERO = np.float32(0.0)


@jit
def quantise_inputs(x: Any, scale: Any, levels: Scalar, fixed_range: Scalar, out: Any) -> int:
    """Scale each input vector to [-1, 1], clip and round it to DAC codes; returns how many were clipped.

    `scale` (n,) receives the full scale of each vector: its largest magnitude, or `fixed_range` if that is
    positive. `levels` is the number of positive codes, 0 for a perfect DAC.
    """
    clipped = 0
    one = np.float32(1.0)
    for n in range(x.shape[0]):
        full = fixed_range
        if fixed_range <= _ZERO:
            full = _ZERO
            for i in range(x.shape[1]):
                full = max(full, abs(x[n, i]))
            if full == _ZERO:
                full = one
        scale[n] = full
        for i in range(x.shape[1]):
            v = x[n, i] / full
            if abs(v) > one:
                clipped += 1
                v = min(max(v, -one), one)
            if levels > _ZERO:
                v = np.rint(v * levels) / levels
            out[n, i] = v
    return clipped


@jit
def bits_of_inputs(volts: Any, levels: Scalar, place: int, out: Any) -> None:
    """Fill `out` with one binary place of the codes behind `volts` (n, rows): -1, 0 or 1."""
    for n in range(volts.shape[0]):
        for i in range(volts.shape[1]):
            code = np.int32(np.rint(volts[n, i] * levels))
            bit = (abs(code) >> place) & 1
            out[n, i] = bit if code > 0 else -bit


@jit
def add_noise(current: Any, variance: Any, first_read: int, number: Any, lane: int, key: Any) -> None:
    """Add to currents (n, cols), in uS of normalised input, one normal each of the given variance.

    Drawn by the number of the read, of the converter (`number`, (cols,)), and of the conversion among those of one
    read (`lane`).
    """
    words = np.empty(current.shape[1], np.uint32)
    for n in range(current.shape[0]):
        fill_words(words, number, first_read + n, lane, key)
        for j in range(current.shape[1]):
            current[n, j] += np.sqrt(max(variance[n, j], _ZERO)) * normal(np.uint64(words[j]))


@jit
def distort(
    current: Any, settled: Scalar, saturation_uS: Scalar, leak_uS: Any, gain: Any, shift_uS: Any
) -> int:
    """Let currents settle and leak, saturate the integrator (0: never), then apply gain and offset, in place.

    Returns how many integrators saturated.
    """
    saturated = 0
    for n in range(current.shape[0]):
        for j in range(current.shape[1]):
            v = (current[n, j] + leak_uS[j]) * settled
            if saturation_uS > _ZERO and abs(v) > saturation_uS:
                saturated += 1
                v = min(max(v, -saturation_uS), saturation_uS)
            current[n, j] = v + gain[j] * v + shift_uS[j]
    return saturated


@jit
def convert(
    current: Any,
    lsb_uS: Any,
    codes: Scalar,
    scale: Any,
    weight_per_uS: Any,
    first_col: int,
    fresh: bool,
    out: Any,
) -> int:
    """Convert currents (n, cols) to codes and add them, in weight units, to columns of `out` (n, all cols).

    `lsb_uS` (cols,) is each column's step; `codes` 0 is a perfect ADC. `scale` (n,) brings the input's range
    back, `weight_per_uS` (all cols,) is the digital scale. `fresh` overwrites `out`. Returns the number of
    conversions clipped at +-codes.
    """
    clipped = 0
    for n in range(current.shape[0]):
        for j in range(current.shape[1]):
            value = current[n, j]
            if codes > _ZERO:
                code = np.rint(value / lsb_uS[j])
                clipped += abs(code) > codes
                value = min(max(code, -codes), codes) * lsb_uS[j]
            value *= scale[n] * weight_per_uS[first_col + j]
            out[n, first_col + j] = value if fresh else out[n, first_col + j] + value
    return clipped
