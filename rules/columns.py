"""Sums over a mini-batch, one a column, with the same bits for any number of threads."""

from __future__ import annotations

import numpy as np

from neurosim.core.protocols import Floats
from neurosim.kernels.jit import share
from neurosim.kernels.products import SAMPLES, blocks

ELEMENTS = 1 << 17
"""Numbers in one block of samples."""


def parts(samples: int, cols: int) -> list[tuple[int, int]]:
    """Blocks of samples that threads share: of a size that fits their caches, and not too small to be worth it."""
    return blocks(samples, max(SAMPLES, ELEMENTS // cols))


def columnwise(a: Floats, b: Floats) -> Floats:
    """Sum over the batch of a * b, one value a column (cols,)."""

    def add(block: tuple[int, int]) -> Floats:
        some = slice(*block)
        total: Floats = np.einsum("bj,bj->j", a[some], b[some])
        return total

    return summed(share(add, parts(*a.shape)))


def summed(totals: list[Floats]) -> Floats:
    """Add up the sums of blocks, in their order."""
    if len(totals) == 1:
        return totals[0]
    found: Floats = np.stack(totals).sum(axis=0, dtype=np.float64).astype(totals[0].dtype)
    return found


def column_sums(a: Floats) -> Floats:
    """Sum over the batch (cols,), in double precision."""
    found: Floats = a.sum(axis=0, dtype=np.float64).astype(a.dtype)
    return found
