"""Sums and exponentials along a row, written so that a processor takes several numbers at a time, with the same bits everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import inlined

_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
_FAINT = np.float32(-64.0)
"""Exponents below count as minus infinity: numbers too small for normal floating point would slow products down."""
_PER_OCTAVE = np.float32(1.442695)
_OCTAVE, _REST = np.float32(0.693359375), np.float32(-2.12194440e-4)
"""ln 2 in two parts, the first with few bits, so that its multiples are exact."""
_Q0, _Q1, _Q2 = np.float32(0.5), np.float32(0.16666576), np.float32(0.041666552)
_Q3, _Q4 = np.float32(0.008363233), np.float32(0.0013926250)
"""Of ``(exp(r) - 1 - r) / r^2`` for abs(r) <= ln(2) / 2, by Chebyshev interpolation: exp to 7.5e-8."""
_BIAS, _MANTISSA = np.int32(127), np.int32(23)


@inlined
def exponential(x: Any) -> Any:
    """Return exp(x) in single precision for x <= 0, the same on every machine; several at a time inside a loop."""
    octaves = np.floor(max(x, _FAINT) * _PER_OCTAVE + _HALF)
    r = x - octaves * _OCTAVE - octaves * _REST
    y = ((((_Q4 * r + _Q3) * r + _Q2) * r + _Q1) * r + _Q0) * r * r + r + _ONE
    power = np.int32((np.int32(octaves) + _BIAS) << _MANTISSA).view(np.float32)
    return _ZERO if x <= _FAINT else y * power


@inlined
def exponential_double(x: Any) -> Any:
    """Return exp(x) in double precision."""
    return np.exp(x)


@inlined
def total(values: Any) -> Any:
    """Sum of a row, by eight partial sums that a processor adds side by side."""
    a = b = c = d = e = f = g = h = values.dtype.type(0)
    whole = values.size - values.size % 8
    for j in range(0, whole, 8):
        a += values[j]
        b += values[j + 1]
        c += values[j + 2]
        d += values[j + 3]
        e += values[j + 4]
        f += values[j + 5]
        g += values[j + 6]
        h += values[j + 7]
    for j in range(whole, values.size):
        a += values[j]
    return ((a + e) + (c + g)) + ((b + f) + (d + h))


@inlined
def squared_length(values: Any) -> Any:
    """Sum of the squares of a row, in the same way."""
    a = b = c = d = e = f = g = h = values.dtype.type(0)
    whole = values.size - values.size % 8
    for j in range(0, whole, 8):
        a += values[j] * values[j]
        b += values[j + 1] * values[j + 1]
        c += values[j + 2] * values[j + 2]
        d += values[j + 3] * values[j + 3]
        e += values[j + 4] * values[j + 4]
        f += values[j + 5] * values[j + 5]
        g += values[j + 6] * values[j + 6]
        h += values[j + 7] * values[j + 7]
    for j in range(whole, values.size):
        a += values[j] * values[j]
    return ((a + e) + (c + g)) + ((b + f) + (d + h))


EXPONENTIAL: dict[str, Any] = {"float32": exponential, "float64": exponential_double}
"""By precision."""
