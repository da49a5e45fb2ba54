"""What ideal arithmetic makes of a change of columns, and filters of one of rows, a block at a time while it is in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import Scalar, jit

_ZERO = np.float32(0.0)


@jit
def forget(change: Any, decay: Any, columns: Any) -> None:
    """Take decay (cols,) times the weights of columns (cols, rows) off their change, in place."""
    for col in range(change.shape[0]):
        share = decay[col]
        for row in range(change.shape[1]):
            change[col, row] -= share * columns[col, row]


@jit
def largest(change: Any, rate: Any) -> Any:
    """Return the largest magnitude of a change of columns (cols, rows) before its rate (cols,)."""
    found = rate[0] * _ZERO
    for col in range(change.shape[0]):
        most = rate[0] * _ZERO
        for row in range(change.shape[1]):
            most = max(most, abs(change[col, row]))
        found = max(found, most / abs(rate[col]))
    return found


@jit
def add_scaled(change: Any, scale: Any, columns: Any) -> None:
    """Add a change times `scale` (cols,) to columns (cols, rows), in place."""
    for col in range(change.shape[0]):
        factor = scale[col]
        for row in range(change.shape[1]):
            columns[col, row] += factor * change[col, row]


@jit
def filter_rows(first: int, change: Any, velocity: Any, momentum: Scalar, scale: Any) -> None:
    """Replace the change of rows from `first` on by its filtered value, which `velocity` (all rows, cols) holds, times `scale` (cols,)."""
    new = np.float32(1.0) - momentum
    for k in range(change.shape[0]):
        for col in range(change.shape[1]):
            filtered = momentum * velocity[first + k, col] + new * change[k, col]
            velocity[first + k, col] = filtered
            change[k, col] = filtered * scale[col]
