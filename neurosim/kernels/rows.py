"""Sums and exponentials along a row, written so that a processor takes several numbers at a time, with the same bits everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import inlined, inlined_as, jit

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


def _summed(term: Any, name: str) -> Any:
    """Return the kernel that sums a term of each number of a row, by eight partial sums that a processor adds side by side."""

    def along(values: Any) -> Any:
        a = b = c = d = e = f = g = h = values.dtype.type(0)
        whole = values.size - values.size % 8
        for j in range(0, whole, 8):
            a += term(values[j])
            b += term(values[j + 1])
            c += term(values[j + 2])
            d += term(values[j + 3])
            e += term(values[j + 4])
            f += term(values[j + 5])
            g += term(values[j + 6])
            h += term(values[j + 7])
        for j in range(whole, values.size):
            a += term(values[j])
        return ((a + e) + (c + g)) + ((b + f) + (d + h))

    return inlined_as(along, f"rows.{name}")


@inlined
def _itself(x: Any) -> Any:
    return x


@inlined
def _squared(x: Any) -> Any:
    return x * x


total = _summed(_itself, "total")
"""Sum of a row."""
squared_length = _summed(_squared, "squared_length")
"""Sum of the squares of a row."""


@jit
def squared_lengths(rows: Any, out: Any) -> None:
    """Fill `out` (n,) with the sum of the squares of each row (n, size)."""
    for n in range(rows.shape[0]):
        out[n] = squared_length(rows[n])


EXPONENTIAL: dict[str, Any] = {"float32": exponential, "float64": exponential_double}
"""By precision."""
