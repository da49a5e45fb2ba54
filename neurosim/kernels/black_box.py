"""What a black box between two layers does to each answer by chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import Scalar, jit
from neurosim.kernels.random import normal, philox, uniform

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


@jit
def disturb(y: Any, noise: Scalar, dropped: Scalar, first: int, key: Any) -> None:
    """Multiply each answer of y (n, cols) by one and a normal times `noise`, in place, or make it zero with probability `dropped`.

    Drawn by the number of the pass, `first` that of the first row, and of the neuron.
    """
    words = (key[0], key[1])
    for n in range(y.shape[0]):
        for j in range(y.shape[1]):
            a, b, _, _ = philox(np.uint64(j), first + n, 0, words)
            y[n, j] = _ZERO if uniform(b) < dropped else y[n, j] * (_ONE + noise * normal(a))
