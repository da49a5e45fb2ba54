"""Refresh of pairs: a look at all of them; the saturated go back to where pulses start, with their difference anew.

Devices that are only SET start low and are RESET; those that are only RESET start high and are programmed there.
Which pairs are saturated is decided on conductances times the direction of the pulses, so that both are one case.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosim.kernels.jit import Scalar, inlined, jit
from neurosim.kernels.programming import pulses_to
from neurosim.kernels.random import normal, philox

_ZERO = np.float32(0.0)


class Saturated(NamedTuple):
    """Which pairs are refreshed; conductances and limits are times the direction of the pulses, 1 or -1."""

    high_uS: float
    """The larger exceeds this,"""
    low_uS: float
    """the smaller this,"""
    most_difference_uS: float
    """and they differ by less than this."""


class Look(NamedTuple):
    """How the controller sees a device."""

    noisy: bool
    """By a read; otherwise as it is, and the next two do not matter."""
    lsb_uS: Scalar
    """Step of the ADC; 0 is a perfect one."""
    range_uS: Scalar
    start_uS: Scalar
    """Nominal conductance of a device that is back where pulses start."""
    direction: np.float32 = np.float32(1.0)
    """Of the pulses: 1 up, -1 down."""
    writes: np.uint32 = np.uint32(1)
    """Pulses that the law's program-and-verify counts as."""


class Refreshed(NamedTuple):
    """Totals of one kernel call."""

    energy_J: float
    pairs: int
    pulses: int
    """SET pulses that were counted one by one; none where the law's program-and-verify writes."""


@inlined
def read_device(
    cell: Any, conductance_uS: Any, params: Any, look: Any, event: Any, key: Any, sigma: Any
) -> Any:
    """One noisy, quantised read of a single device, uS."""
    seen = conductance_uS + sigma(conductance_uS, params) * normal(philox(cell, event, 0, key)[0])
    if look.lsb_uS > _ZERO:
        seen = min(max(np.rint(seen / look.lsb_uS) * look.lsb_uS, _ZERO), look.range_uS)
    return seen


@jit
def read_devices(
    out: Any,
    arm: int,
    look: Any,
    state: Any,
    params: Any,
    now_s: float,
    event: int,
    key: Any,
    read: Any,
    sigma: Any,
) -> None:
    """Fill `out` with one read of the plus (`arm` 0) or the minus device (1) of each pair, uS."""
    for k in range(out.size):
        cell = 2 * k + arm
        out[k] = read_device(cell, read(cell, state, params, now_s), params, look, event, key, sigma)


@jit
def refresh_pairs(
    first: int,
    last: int,
    saturated: Any,
    look: Any,
    curve: Any,
    grid: Any,
    state: Any,
    params: Any,
    now_s: float,
    event: int,
    keys: Any,
    reset: Any,
    program: Any,
    pulse: Any,
    read: Any,
    sigma: Any,
) -> Refreshed:
    """Bring the devices of saturated pairs in rows [first, last) back and write the difference onto one of them.

    The other one then stands where pulses start; the first is as far from it, in their direction, as the difference.
    With a `curve` the difference is written by counted pulses, without one by the law's program-and-verify.
    `keys` are the streams of writing and of looking; `event` must be even, the odd one after it serves the
    writing. A pair with a device that nothing reaches is not saturated: half of it reads as zero.
    """
    cols = grid.by_column.shape[0]
    noisy, broken = grid.variance_by_column.size > 0, grid.strength.size > 0
    energy, refreshed, pulses = 0.0, 0, 0
    for row in range(first, last):
        for col in range(cols):
            if broken and min(grid.strength[row, 2 * col], grid.strength[row, 2 * col + 1]) == _ZERO:
                continue
            cell = 2 * (row * cols + col)
            plus = read(cell, state, params, now_s)
            minus = read(cell + 1, state, params, now_s)
            seen_plus, seen_minus = plus, minus
            if look.noisy:
                seen_plus = read_device(cell, plus, params, look, event, keys[1], sigma)
                seen_minus = read_device(cell + 1, minus, params, look, event, keys[1], sigma)
            difference = abs(seen_plus - seen_minus)
            seen_plus *= look.direction
            seen_minus *= look.direction
            larger, smaller = max(seen_plus, seen_minus), min(seen_plus, seen_minus)
            if larger <= saturated.high_uS or smaller <= saturated.low_uS:
                continue
            if difference >= saturated.most_difference_uS:
                continue
            target, other = (cell, cell + 1) if seen_plus > seen_minus else (cell + 1, cell)
            if look.direction > _ZERO:
                energy += reset(cell, state, params, now_s, event, keys[0])
                energy += reset(cell + 1, state, params, now_s, event, keys[0])
            else:
                energy += program(other, look.start_uS, state, params, now_s, event, keys[0])
            start = look.start_uS if look.noisy else read(other, state, params, now_s)
            wanted = max(start + look.direction * difference, _ZERO)
            given = look.writes
            if curve.pulses.size > 0:
                count = pulses_to(wanted, curve)
                if count > 0:
                    energy += pulse(target, count, state, params, now_s, event + 1, keys[0])
                pulses += count
                given = np.uint32(count)
            else:
                energy += program(target, wanted, state, params, now_s, event + 1, keys[0])
            refreshed += 1
            if grid.worn.size > 0:
                back = np.uint32(1) if look.direction > _ZERO else look.writes
                grid.worn[other - cell, row, col] += back
                grid.worn[target - cell, row, col] += given
                if look.direction > _ZERO:
                    grid.worn[target - cell, row, col] += back
            before = np.float64(plus) + minus
            plus = read(cell, state, params, now_s)
            minus = read(cell + 1, state, params, now_s)
            grid.by_column[col, row] = plus - minus
            grid.row_sum[row] += (np.float64(plus) + minus) - before
            if noisy:
                s_plus, s_minus = sigma(plus, params), sigma(minus, params)
                grid.variance_by_column[col, row] = s_plus * s_plus + s_minus * s_minus
    return Refreshed(energy, refreshed, pulses)
