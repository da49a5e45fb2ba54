"""Pulses given to the devices of a row: what arrives, what the law makes of it, and what reads see of it afterwards.

What a law brings is compiled into one place each: its `pulse` here, its `read` into `read_listed`. All else is compiled once
for all laws (`apart`); a kernel that holds five copies of a law takes twice as long to compile, and no less to run.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurosim.kernels.arriving import gather, keep_arriving, keep_effective
from neurosim.kernels.groups import GROUP, new_group, read_listed
from neurosim.kernels.jit import ZERO, apart, inlined, jit

_ZERO = np.float32(0.0)


class Sums(NamedTuple):
    """Totals of one kernel call."""

    up_J: float
    """Energy of the pulses up that took effect, at the card's voltage and width,"""
    down_J: float
    """and of those down."""
    pulses: int
    downs: int
    """Of the pulses, those down."""
    pulsed_cells: int
    rows: int
    """Word lines with at least one pulse,"""
    slots: int
    """and the pulses that follow one another on them: on each the most of any of its devices."""
    lost: int
    """Of the pulses, those that took no effect,"""
    lost_uS: float
    """and the summed conductance that they fell on, times the square of the share of voltage left."""
    cut: float
    """Pulses of change that no device was given because it was too many at once."""


NO_SUMS = Sums(0.0, 0.0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)


@inlined
def added(one: Any, other: Any) -> Any:
    """Both totals together."""
    return Sums(
        one.up_J + other.up_J, one.down_J + other.down_J, one.pulses + other.pulses, one.downs + other.downs,
        one.pulsed_cells + other.pulsed_cells, one.rows + other.rows, one.slots + other.slots,
        one.lost + other.lost, one.lost_uS + other.lost_uS, one.cut + other.cut,
    )  # fmt: skip


@apart
def count_devices(row: Any, counts: Any, struck: Any, strikes: Any, peaks: Any, grid: Any) -> None:
    """Raise the counters of the devices of a row that were pulsed, and those of columns; apart from the pulses, which they slow.

    A row of which much is struck is passed over whole: the processor does several columns at a time.
    """
    worn, cols = grid.worn, counts.shape[1]
    if worn.size == 0:
        return
    if grid.strength.size > 0:
        for k in range(strikes):
            col = struck[k]
            for arm in range(2):
                if grid.strength[row, 2 * col + arm] != _ZERO:
                    worn[arm, row, col] += np.uint32(abs(counts[arm, col]))
                    if peaks.size > 0:
                        peaks[col] = max(peaks[col], abs(counts[arm, col]))
    elif 4 * strikes > cols:
        for col in range(cols):
            worn[0, row, col] += np.uint32(abs(counts[0, col]))
        for col in range(cols):
            worn[1, row, col] += np.uint32(abs(counts[1, col]))
        if peaks.size > 0:
            for col in range(cols):
                peaks[col] = max(peaks[col], max(abs(counts[0, col]), abs(counts[1, col])))
    else:
        for k in range(strikes):
            col = struck[k]
            plus, minus = abs(counts[0, col]), abs(counts[1, col])
            worn[0, row, col] += np.uint32(plus)
            worn[1, row, col] += np.uint32(minus)
            if peaks.size > 0:
                peaks[col] = max(peaks[col], max(plus, minus))


@inlined
def follow_pairs(row: Any, cols: Any, seen_uS: Any, grid: Any, params: Any, sigma: Any) -> None:
    """Bring the grid up to date in some columns of a row, of whose devices `seen_uS` was read, plus and minus in turn."""
    for k in range(cols.size):
        col, plus, minus = cols[k], seen_uS[2 * k], seen_uS[2 * k + 1]
        grid.by_column[col, row] = plus - minus
        if grid.variance_by_column.size > 0:
            s_plus, s_minus = sigma(plus, params), sigma(minus, params)
            grid.variance_by_column[col, row] = s_plus * s_plus + s_minus * s_minus


@jit
def pulse_row(
    row: int,
    counts: Any,
    group: Any,
    peaks: Any,
    grid: Any,
    state: Any,
    params: Any,
    now_s: float,
    event: int,
    key: Any,
    pulses: Any,
    read: Any,
    sigma: Any,
) -> Sums:
    """Give the pairs of one row counts[0, col] and counts[1, col] pulses on their plus and minus device.

    `group` is room for a `Group`. `peaks` (cols,) are raised to the most pulses that any device of a column is given;
    (0,), or where no device counts its pulses: not asked.
    """
    cols = grid.by_column.shape[0]
    struck = np.empty(cols, np.int32)
    strikes = ZERO
    for col in range(cols):
        struck[strikes] = col
        strikes += (counts[0, col] | counts[1, col]) != 0
    if strikes == 0:
        return NO_SUMS
    up_J, down_J, given, downs, slots, moved_uS = 0.0, 0.0, 0, 0, 0, 0.0
    cells, lost, lost_uS = 0, ZERO, 0.0
    weak, counted = grid.strength.size > 0, grid.given.size > 0
    first = 2 * row * cols
    for start in range(0, strikes, GROUP // 2):
        some = struck[start : min(start + GROUP // 2, strikes)]
        size = gather(row, counts, some, group)
        if weak or counted:
            size = keep_arriving(size, first, row, group, grid)
        cells += size
        for k in range(size):
            count = group.counts[k]
            given += abs(count)
            downs -= min(count, 0)
            slots = max(slots, abs(count))
        read_listed(size, group.cells, group.before_uS, state, params, now_s, read)
        if weak:
            size, lost, lost_uS = keep_effective(size, first, row, group, lost, lost_uS, grid, event, key)
        pulses(size, group, state, params, now_s, event, key)
        read_listed(2 * some.size, group.pairs, group.after_uS, state, params, now_s, read)
        for k in range(size):
            moved_uS -= np.float64(group.before_uS[k])
            spent_J, sign = group.joules[k], np.float64(group.counts[k])
            up_J += spent_J if sign > 0.0 else 0.0
            down_J += 0.0 if sign > 0.0 else spent_J
            moved_uS += np.float64(group.after_uS[group.places[k]])
        follow_pairs(row, some, group.after_uS, grid, params, sigma)
    grid.row_sum[row] += moved_uS
    count_devices(row, counts, struck, strikes, peaks, grid)
    return Sums(up_J, down_J, given, downs, cells, int(given > 0), slots, lost, lost_uS, 0.0)


@jit
def give_rows(
    first: int,
    last: int,
    wanted: Any,
    grid: Any,
    state: Any,
    params: Any,
    now_s: float,
    event: int,
    key: Any,
    pulses: Any,
    read: Any,
    sigma: Any,
) -> Sums:
    """Give the devices of rows [first, last) their pulses `wanted` (rows, 2 cols), SET (+) or RESET (-)."""
    total = NO_SUMS
    counts, group = np.empty((2, wanted.shape[1] // 2), np.int32), new_group(state.conductance)
    peaks = np.empty(0, np.int32)
    for row in range(first, last):
        if not wanted[row].any():
            continue
        for place in range(wanted.shape[1]):
            counts[place & 1, place >> 1] = wanted[row, place]
        sums = pulse_row(
            row, counts, group, peaks, grid, state, params, now_s, event, key, pulses, read, sigma
        )
        total = added(total, sums)
    return total
