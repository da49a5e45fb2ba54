"""What the tests of the crossbar share: a programmed array, inputs for it, and nearness."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers import small_weights

from neurosim import Crossbar

ROWS, COLS = 24, 10
F = np.float32


def made(device: Any, rows: int = ROWS, cols: int = COLS, weights: Any = None, **options: Any) -> Crossbar:
    array = Crossbar((rows, cols), device, seed=options.pop("seed", 0), **options)
    array.program(small_weights(rows, cols) if weights is None else weights, w_max=array.w_max)
    return array


def inputs(batch: int, rows: int = ROWS, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (batch, rows)).astype(F)


def close(found: Any, expected: Any, share: float = 1e-5) -> None:
    """Equal to `share` of the largest magnitude."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * np.abs(expected).max())
