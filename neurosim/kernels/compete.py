"""Soft competition in one pass over the currents: softmax, sign, rate, and what columns sum up of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import Scalar, jit
from neurosim.kernels.rows import total

_ONE = np.float32(1.0)


@jit
def compete(
    u: Any,
    bias: Any,
    inverse_temperature: Scalar,
    anti_hebbian: bool,
    rate: Any,
    exp: Any,
    post: Any,
    along: Any,
) -> None:
    """Fill `post` (n, cols) with ``rate softmax(inverse_temperature (u + bias))``, and add ``sum post u`` to `along`.

    With `anti_hebbian` all but the largest current of each sample (the first of equals) have the other sign.
    `bias` (cols,) may be empty: there is none. `exp` is the exponential of the precision.
    """
    cols = u.shape[1]
    for n in range(u.shape[0]):
        currents, y = u[n], post[n]
        for j in range(cols):
            y[j] = currents[j] + bias[j] if bias.size > 0 else currents[j]
        largest = y[0]
        for j in range(cols):
            largest = max(largest, y[j])
        winner = 0
        while winner < cols - 1 and y[winner] != largest:
            winner += 1
        for j in range(cols):
            y[j] = exp((y[j] - largest) * inverse_temperature)
        scale = _ONE / total(y)
        if anti_hebbian:
            scale = -scale
        for j in range(cols):
            y[j] *= scale * rate[j]
        if anti_hebbian:
            y[winner] = -y[winner]
        for j in range(cols):
            along[j] += y[j] * currents[j]
