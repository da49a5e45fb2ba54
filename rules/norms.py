"""How a column follows its own norm through an update, without reading a weight."""

from __future__ import annotations

from functools import cache

import numpy as np

from neurosim.core.protocols import Floats
from neurosim.core.seeds import generator
from neurosim.kernels.products import matmul, small_product
from neurosim.rules.columns import columnwise

OVERLAPS = 512
"""Samples of a mini-batch up to which the norm of its change is followed exactly."""
PROBES = 16
LARGEST_NORM_SQUARED = 1e4
"""No tracked norm grows beyond: where a device cannot follow, the measurement to come corrects it."""


@cache
def probes(rows: int) -> Floats:
    """Return fixed random directions (rows, `PROBES`) of plus and minus one."""
    signs = generator(0, "probes").integers(0, 2, (rows, PROBES))
    return (2 * signs - 1).astype(np.float32)


def squared_sums(x: Floats, post: Floats) -> Floats:
    """Squared length of ``sum_b x_b post_bj`` for each column (cols,): exact up to `OVERLAPS` samples.

    Beyond, it is estimated by `PROBES` random directions of the inputs: without bias, with a relative deviation of
    sqrt(2 / PROBES); the exact sum grows with the batch squared.
    """
    if len(x) <= OVERLAPS:
        return columnwise(post, small_product(small_product(x, x.T), post))
    directions = matmul(x, probes(x.shape[1]).astype(x.dtype, copy=False))
    seen = matmul(np.ascontiguousarray(directions.T), post)
    found: Floats = np.square(seen).mean(axis=0)
    return found


def following(batch: int, rows: int, cols: int) -> int:
    """Multiply-adds of `squared_sums`: overlaps of samples (half of them, zeros not skipped), then of columns; or probes."""
    if batch <= OVERLAPS:
        return rows * batch * (batch + 1) // 2 + cols * batch * (batch + 1)
    return PROBES * (rows * batch + cols * batch + cols)


def follow(squared_norms: Floats, x: Floats, post: Floats, along: Floats, decay: Floats | None) -> None:
    """Follow r^2 of each column through ``dw = S - D w``, in place: it grows by ``2 (S w - D r^2) + |dw|^2``.

    Parameters
    ----------
    squared_norms : (cols,) array
        r^2 before; becomes r^2 after.
    x : (batch, rows) array
    post : (batch, cols) array
        With S = sum_b x_b post_b.
    along : (cols,) array
        S w, which is sum_b post_b u_b: no weight is read for it.
    decay : (cols,) array or None
        D.
    """
    length = squared_sums(x, post)
    growth = 2 * along
    if decay is not None:
        growth -= 2 * decay * squared_norms
        length += decay * (decay * squared_norms - 2 * along)
    squared_norms += growth + np.maximum(length, 0)
    np.clip(squared_norms, 0, LARGEST_NORM_SQUARED, out=squared_norms)
