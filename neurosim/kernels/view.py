"""Read noise of single devices as it arrives at the converters."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import jit

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


@jit
def seen_variance(
    first: int, last: int, own_uS: Any, through_uS: Any, out: Any, params: Any, sigma: Any
) -> None:
    """Fill rows [first, last) of `out` with sigma(G)^2 (M / G)^2; wires can only take away, so M / G ends at 1."""
    for row in range(first, last):
        for line in range(own_uS.shape[1]):
            own = own_uS[row, line]
            noise = sigma(own, params)
            if own > _ZERO:
                noise *= min(max(through_uS[row, line] / own, _ZERO), _ONE)
            out[row, line] = noise * noise
