"""The in-place update: from a local change to pulses, and from pulses to conductances, block of rows by block.

A block of rows is the unit of work that threads share: every cell belongs to one block, and sums are added
in the order of the blocks, so the number of threads changes nothing. Change is measured in pulses of the
card's nominal step; the law at the cell's true state is never inverted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosim.core.protocols import Floats
from neurosim.kernels.arriving import gather, keep_arriving, keep_effective
from neurosim.kernels.counts import accumulator_counts, stochastic_counts
from neurosim.kernels.groups import GROUP, new_group
from neurosim.kernels.jit import Scalar, inlined, jit
from neurosim.kernels.random import normal, philox

_ZERO = np.float32(0.0)


class Grid(NamedTuple):
    """What a read needs of the conductances, kept up to date by every kernel that moves one."""

    difference: Floats
    """(rows, cols) conductance of the plus minus that of the minus device, uS."""
    variance: Floats
    """(rows, cols) summed variance of their read noise, uS^2; (0, 0) where there is none."""
    row_sum: NDArray[np.float64]
    """(rows,) summed conductance of the devices on each word line, uS."""
    strength: Floats = np.empty((0, 0), np.float32)
    """(rows, 2 cols) share of pulses that take effect, 0 where none arrives; (0, 0): all do."""
    given: NDArray[np.int32] = np.empty((0, 0), np.int32)
    """(rows, 2 cols) where pulses that arrive are counted, SET (+) or RESET (-); (0, 0): nobody asks."""
    fade: float = 0.0
    """A pulse of strength f has 1 + fade log(f) of its voltage left."""
    worn: NDArray[np.uint32] = np.empty((0, 0, 0), np.uint32)
    """(2, rows, cols) pulses that each plus and minus device was given; (0, 0, 0): half voltages, which count as none."""


class Verifier(NamedTuple):
    """How an accumulator gives its pulses, and how these are verified: by reads of the pair before and after."""

    prompt: bool
    """It gives each change at once, rounded at random, and holds what that was off."""

    reads: np.int32
    """Averaged each time; 0: what was asked for counts as given."""
    key: NDArray[np.uint64]
    """Stream of their noise."""
    most: Any
    """Largest magnitude, in pulses, that an accumulator holds where it is verified: a stuck device would fill it
    without end."""
    enough: Any
    """The same where it is not: pulses that take any device across its window several times."""


class Verified(NamedTuple):
    """Totals of the verified flushes of one kernel call."""

    pairs: int
    rows: int
    """Word lines with at least one of them."""
    uS: float
    """Summed conductance of their devices, before and after."""


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


@jit
def refresh_grid(
    first: int, last: int, grid: Any, state: Any, params: Any, now_s: float, read: Any, sigma: Any
) -> None:
    """Rebuild rows [first, last) of the grid from the device state."""
    cols = grid.difference.shape[1]
    noisy = grid.variance.size > 0
    for row in range(first, last):
        total = 0.0
        for col in range(cols):
            cell = 2 * (row * cols + col)
            plus = read(cell, state, params, now_s)
            minus = read(cell + 1, state, params, now_s)
            grid.difference[row, col] = plus - minus
            total += plus
            total += minus
            if noisy:
                s_plus, s_minus = sigma(plus, params), sigma(minus, params)
                grid.variance[row, col] = s_plus * s_plus + s_minus * s_minus
        grid.row_sum[row] = total


@inlined
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
def refresh_pairs(
    row: Any, cols: Any, grid: Any, state: Any, params: Any, now_s: Any, read: Any, sigma: Any
) -> None:
    """Bring the grid up to date in some columns of a row."""
    for col in cols:
        cell = np.uint32(2 * (row * grid.difference.shape[1] + col))
        plus = read(cell, state, params, now_s)
        minus = read(np.uint32(cell + 1), state, params, now_s)
        grid.difference[row, col] = plus - minus
        if grid.variance.size > 0:
            s_plus, s_minus = sigma(plus, params), sigma(minus, params)
            grid.variance[row, col] = s_plus * s_plus + s_minus * s_minus


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

    `group` is room for a `Group`. `peaks` (cols,) are raised to the most pulses that any device of a column is given; (0,), or where no device counts its
    pulses: not asked.
    """
    cols = grid.difference.shape[1]
    struck = np.empty(cols, np.int32)
    strikes = 0
    for col in range(cols):
        struck[strikes] = col
        strikes += (counts[0, col] | counts[1, col]) != 0
    if strikes == 0:
        return NO_SUMS
    up_J, down_J, given, downs, slots, moved_uS = 0.0, 0.0, 0, 0, 0, 0.0
    cells, lost, lost_uS = 0, 0, 0.0
    weak, counted = grid.strength.size > 0, grid.given.size > 0
    first = 2 * row * cols
    for start in range(0, strikes, GROUP // 2):
        some = struck[start : min(start + GROUP // 2, strikes)]
        size = gather(row, counts, some, group, state)
        if weak or counted:
            size = keep_arriving(size, first, row, group, grid)
        cells += size
        for k in range(size):
            count = group.counts[k]
            given += abs(count)
            downs -= min(count, 0)
            slots = max(slots, abs(count))
        if weak:
            size, lost, lost_uS = keep_effective(
                size, first, row, group, lost, lost_uS, grid, state, params, now_s, event, key, read
            )
        for k in range(size):
            group.before_uS[k] = np.float64(read(group.cells[k], state, params, now_s))
        pulses(size, group, state, params, now_s, event, key)
        for k in range(size):
            moved_uS -= group.before_uS[k]
            spent_J, sign = group.joules[k], np.float64(group.counts[k])
            up_J += spent_J if sign > 0.0 else 0.0
            down_J += 0.0 if sign > 0.0 else spent_J
            moved_uS += np.float64(read(group.cells[k], state, params, now_s))
        refresh_pairs(row, some, grid, state, params, now_s, read, sigma)
    grid.row_sum[row] += moved_uS
    count_devices(row, counts, struck, strikes, peaks, grid)
    return Sums(up_J, down_J, given, downs, cells, int(given > 0), slots, lost, lost_uS, 0.0)


@inlined
def read_pair(
    row: int, col: int, grid: Any, lsb_uS: Scalar, range_uS: Scalar, event: int, key: Any, number: int = 0
) -> Any:
    """One noisy, quantised read of a pair's difference, uS: the one of that number in an event."""
    seen = grid.difference[row, col]
    if grid.variance.size > 0:
        noise = normal(philox(row * grid.difference.shape[1] + col, event, number, key)[0])
        seen += np.sqrt(grid.variance[row, col]) * noise
    if lsb_uS > _ZERO:
        seen = min(max(np.rint(seen / lsb_uS) * lsb_uS, -range_uS), range_uS)
    return seen


@jit
def read_flushed(
    row: int,
    counts: Any,
    seen: Any,
    grid: Any,
    lsb_uS: Scalar,
    range_uS: Scalar,
    event: int,
    verifier: Any,
    after: int,
) -> None:
    """Read each pair of a row that has pulses in `counts`, before (0) or after (1) them, into `seen` (cols,), uS."""
    for col in range(seen.size):
        if counts[0, col] == 0 and counts[1, col] == 0:
            continue
        total = _ZERO
        for k in range(verifier.reads):
            number = 2 * k + after
            total += read_pair(row, col, grid, lsb_uS, range_uS, event, verifier.key, number)
        seen[col] = total / np.float32(verifier.reads)


@jit
def flushed_uS(row: int, counts: Any, state: Any, params: Any, now_s: float, read: Any) -> float:
    """Summed conductance of the pairs of a row that have pulses in `counts`, uS."""
    total = 0.0
    for col in range(counts.shape[1]):
        if counts[0, col] != 0 or counts[1, col] != 0:
            cell = 2 * (row * counts.shape[1] + col)
            total += np.float64(read(cell, state, params, now_s))
            total += np.float64(read(cell + 1, state, params, now_s))
    return total


@jit
def return_shortfall(
    row: int, counts: Any, asked: Any, given: Any, accumulator: Any, pulses_per_uS: Scalar, most: Scalar
) -> int:
    """Put what a row's pulses missed, of what was `asked` (in pulses) as `given` (uS) was read, back; count the pairs."""
    pairs = 0
    for col in range(asked.size):
        if counts[0, col] == 0 and counts[1, col] == 0:
            continue
        held = accumulator[row, col] + asked[col] - given[col] * pulses_per_uS
        accumulator[row, col] = min(max(held, -most), most)
        pairs += 1
    return pairs


@jit
def sweep_rows(
    first: int,
    change: Any,
    decay: Any,
    due: Any,
    exact: bool,
    pulses_per_uS: Scalar,
    flush: Scalar,
    most: Scalar,
    verifier: Any,
    lsb_uS: Scalar,
    range_uS: Scalar,
    drive: Any,
    accumulator: Any,
    peaks: Any,
    seen_grid: Any,
    grid: Any,
    state: Any,
    params: Any,
    now_s: float,
    event: int,
    keys: Any,
    pulses: Any,
    read: Any,
    sigma: Any,
) -> tuple[Sums, Verified]:
    """Turn `change` (rows of the block, cols), in pulses, into pulses on the rows from `first` on.

    In the columns listed in `due`, `decay` (cols,) first takes its share of each pair difference, known
    exactly (the oracle) or by one noisy read.
    `seen_grid` is the grid as a read sees it, past breaks and through the wires (the oracle: past breaks); without
    them the grid itself.
    `keys` are the streams of rounding, pulses and read-back. `accumulator` (rows, cols) selects the digital
    accumulator, which gives pulses once it holds `flush` of them, and takes back what they missed if there is a `verifier`;
    (0, 0) stochastic rounding to multiples of `flush`. `peaks` (cols,) as `pulse_row` takes them.
    """
    cols = change.shape[1]
    counts, group = np.empty((2, cols), np.int32), new_group(state.conductance)
    verify = accumulator.size > 0 and verifier.reads > 0
    before, after = np.empty(cols, change.dtype), np.empty(cols, change.dtype)
    pairs, rows, verified_uS, cut = 0, 0, 0.0, 0.0
    total = NO_SUMS
    for k in range(change.shape[0]):
        row = first + k
        wanted = change[k]
        if due.size == 0 and not wanted.any():
            continue
        for col in due:
            seen = seen_grid.difference[row, col]
            if not exact:
                seen = read_pair(row, col, seen_grid, lsb_uS, range_uS, event, keys[2])
            wanted[col] -= decay[col] * seen * pulses_per_uS
        if accumulator.size > 0:
            cut += accumulator_counts(
                row, wanted, counts, accumulator, flush, most, drive, verifier.prompt, verifier.enough, event,
                keys[0],
            )  # fmt: skip
        else:
            cut += stochastic_counts(row, wanted, counts, flush, most, drive, event, keys[0])
        if verify:
            read_flushed(row, counts, before, grid, lsb_uS, range_uS, event, verifier, 0)
            verified_uS += flushed_uS(row, counts, state, params, now_s, read)
        sums = pulse_row(
            row, counts, group, peaks, grid, state, params, now_s, event, keys[1], pulses, read, sigma
        )
        if verify:
            read_flushed(row, counts, after, grid, lsb_uS, range_uS, event, verifier, 1)
            verified_uS += flushed_uS(row, counts, state, params, now_s, read)
            after -= before
            done = return_shortfall(row, counts, wanted, after, accumulator, pulses_per_uS, verifier.most)
            pairs += done
            rows += done > 0
        total = added(total, sums)
    return added(total, Sums(0.0, 0.0, 0, 0, 0, 0, 0, 0, 0.0, cut)), Verified(pairs, rows, verified_uS)


@jit
def depress_rows(
    first: int,
    last: int,
    column_counts: Any,
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
    """Give both devices of every pair in a column the column's depression pulses, rows [first, last)."""
    counts, group = np.empty((2, column_counts.size), np.int32), new_group(state.conductance)
    for col in range(column_counts.size):
        counts[0, col] = -column_counts[col]
        counts[1, col] = -column_counts[col]
    total = NO_SUMS
    for row in range(first, last):
        sums = pulse_row(
            row, counts, group, peaks, grid, state, params, now_s, event, key, pulses, read, sigma
        )
        total = added(total, sums)
    return total


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


@jit
def squared_norms(
    first: int, last: int, out: Any, grid: Any, lsb_uS: Scalar, range_uS: Scalar, event: int, key: Any
) -> None:
    """Add to `out` (cols,) float64 the squares of one noisy read of rows [first, last), uS^2."""
    for row in range(first, last):
        for col in range(out.size):
            seen = np.float64(read_pair(row, col, grid, lsb_uS, range_uS, event, key))
            out[col] += seen * seen
