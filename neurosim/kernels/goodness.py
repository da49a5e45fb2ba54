"""What a layer of Forward-Forward makes of its currents, each in one pass: activities and goodness, direction, answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import inlined, jit
from neurosim.kernels.rows import squared_length, total

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_SMALLEST_LENGTH = np.float32(1e-8)


@inlined
def _rectified(currents: Any, squares: bool, y: Any) -> Any:
    """Fill y (cols,) with ``max(currents, 0)``; return the sum of y^2, or of y."""
    for j in range(y.size):
        y[j] = max(currents[j], _ZERO)
    return squared_length(y) if squares else total(y)


@jit
def activities(u: Any, squares: bool, counted: Any, y: Any, goodness: Any, along: Any) -> None:
    """Fill y (n, blocks, cols) with ``max(u, 0)`` and `goodness` (n, blocks) with the sum of y^2, or of y, over each block.

    Activities of the samples that are `counted` (n,) are added to `along` (blocks, cols), in double precision.
    """
    for n in range(u.shape[0]):
        for k in range(u.shape[1]):
            goodness[n, k] = _rectified(u[n, k], squares, y[n, k])
            if counted[n]:
                for j in range(y.shape[2]):
                    along[k, j] += y[n, k, j]


@jit
def directions(u: Any, squares: bool, y: Any, goodness: Any) -> None:
    """Fill y and goodness as `activities` does, then bring each row of y (n, cols) to an rms of one, or to a mean of one."""
    cols = y.dtype.type(y.shape[1])
    for n in range(u.shape[0]):
        found = _rectified(u[n], squares, y[n])
        goodness[n] = found
        length = np.sqrt(found / cols) if squares else found / cols
        scale = _ONE / (length + _SMALLEST_LENGTH)
        for j in range(y.shape[1]):
            y[n, j] *= scale


@jit
def answers(step: Any, pull: Any, pulled: Any, squares: bool, y: Any) -> None:
    """Replace activities y (n, blocks, cols) by ``step y``, or by `step` (n, blocks) where y is positive.

    `pull` (blocks, cols) is added where `pulled` (n,). It may be empty: there is none.
    """
    for n in range(y.shape[0]):
        for k in range(y.shape[1]):
            for j in range(y.shape[2]):
                gate = y[n, k, j] if squares else np.sign(y[n, k, j])
                y[n, k, j] = step[n, k] * gate
            if pull.size > 0 and pulled[n]:
                for j in range(y.shape[2]):
                    y[n, k, j] += pull[k, j]
