"""From a row's pulses to those that arrive at its devices and take effect: a group of devices for the law to pulse."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurosim.kernels.jit import apart, inlined
from neurosim.kernels.random import philox, uniform

THINNING = (1 << 31) - 1
"""Number of the draw that thins pulses; laws number theirs from 0."""
_ZERO = np.float32(0.0)


@inlined
def taken(count: Any, strength: Any, cell: Any, event: Any, key: Any) -> Any:
    """How many of so many pulses (SET +, RESET -) take effect, rounded at random so that the mean is exact."""
    size = np.int32(np.float32(abs(count)) * strength + uniform(philox(cell, event, THINNING, key)[0]))
    size = min(size, np.int32(abs(count)))
    return size if count > 0 else -size


@apart
def gather(row: Any, counts: Any, cols: Any, group: Any) -> Any:
    """List both devices of some columns of a row, and those of them that are to be pulsed, with their counts; return how many."""
    first, size = 2 * row * counts.shape[1], 0
    for k in range(cols.size):
        for arm in range(2):
            cell, count = np.uint32(first + 2 * cols[k] + arm), counts[arm, cols[k]]
            group.pairs[2 * k + arm] = cell
            group.cells[size] = cell
            group.counts[size] = count
            group.places[size] = 2 * k + arm
            size += count != 0
    return size


@apart
def keep_arriving(size: Any, first: Any, row: Any, group: Any, grid: Any) -> Any:
    """Drop the devices of a group that no pulse reaches, count what arrives at the others; return how many there are."""
    kept = 0
    for k in range(size):
        cell, count = group.cells[k], group.counts[k]
        if grid.strength.size > 0 and grid.strength[row, cell - first] == _ZERO:
            continue
        if grid.given.size > 0:
            grid.given[row, cell - first] += count
        group.cells[kept], group.counts[kept], group.places[kept] = cell, count, group.places[k]
        kept += 1
    return kept


@apart
def keep_effective(
    size: Any, first: Any, row: Any, group: Any, lost: Any, lost_uS: Any, grid: Any, event: Any, key: Any
) -> Any:
    """Drop the pulses of a group that take no effect; return how many devices are left, and the sums that what was lost adds to."""
    kept = 0
    for k in range(size):
        cell, asked = group.cells[k], group.counts[k]
        strength = grid.strength[row, cell - first]
        count = taken(asked, strength, cell, event, key)
        missed = abs(asked) - abs(count)
        if missed > 0:
            left = max(1.0 + grid.fade * np.log(np.float64(strength)), 0.0)
            lost += missed
            struck_uS = grid.struck_uS if grid.struck_uS > 0.0 else np.float64(group.before_uS[k])
            lost_uS += missed * left * left * struck_uS
        if count != 0:
            group.cells[kept], group.counts[kept], group.places[kept] = cell, count, group.places[k]
            group.before_uS[kept] = group.before_uS[k]
            kept += 1
    return kept, lost, lost_uS
