"""What filters and ideal arithmetic make of a change of weights, one block of rows at a time, while it is in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import Scalar, jit

_ZERO = np.float32(0.0)


@jit
def forget(change: Any, decay: Any, weights: Any) -> None:
    """Take decay (cols,) times the weights (rows, cols) off their change, in place."""
    for row in range(change.shape[0]):
        for col in range(change.shape[1]):
            change[row, col] -= decay[col] * weights[row, col]


@jit
def largest(change: Any, rate: Any) -> Any:
    """Return the largest magnitude of a change (rows, cols) before its rate (cols,)."""
    found = rate[0] * _ZERO
    for row in range(change.shape[0]):
        for col in range(change.shape[1]):
            found = max(found, abs(change[row, col] / rate[col]))
    return found


@jit
def add_share(change: Any, divisor: Any, weights: Any) -> None:
    """Add a change divided by `divisor` to the weights (rows, cols), in place."""
    for row in range(change.shape[0]):
        for col in range(change.shape[1]):
            weights[row, col] += change[row, col] / divisor


@jit
def filter_rows(first: int, change: Any, velocity: Any, momentum: Scalar, scale: Any) -> None:
    """Replace the change of rows from `first` on by its filtered value, which `velocity` (all rows, cols) holds, times `scale` (cols,)."""
    new = np.float32(1.0) - momentum
    for k in range(change.shape[0]):
        for col in range(change.shape[1]):
            filtered = momentum * velocity[first + k, col] + new * change[k, col]
            velocity[first + k, col] = filtered
            change[k, col] = filtered * scale[col]


@jit
def forget_and_add(decay: Any, change: Any, weights: Any) -> None:
    """Take decay (cols,) times the weights (rows, cols) off them, if there is any, and add a change, in place."""
    for row in range(change.shape[0]):
        for col in range(change.shape[1]):
            wanted = change[row, col]
            if decay.size > 0:
                wanted -= decay[col] * weights[row, col]
            weights[row, col] += wanted
